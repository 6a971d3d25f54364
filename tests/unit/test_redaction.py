"""A secret is found in every form in which a server may quote it, and nothing of it is left by a cut."""

import base64
import html
import json
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.providers.access import access
from vedette.providers.redaction import REDACTED, Secrets, credential
from vedette.settings import Basic, EndpointSettings, Secret

KEY = 'sk-Canary/7f3a+9c51"x'
SECRETS = Secrets([KEY])


def _escaped(pattern: str) -> Callable[[str], str]:
    return lambda key: "".join(pattern.format(ord(letter)) for letter in key)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "in upper case": str.upper,
    "in JSON": lambda key: json.dumps(key)[1:-1],
    "in JSON in JSON in JSON": lambda key: json.dumps(json.dumps(json.dumps(key))),
    "as JSON's escapes": _escaped("\\u{:04x}"),
    "as JSON's escapes in JSON": lambda key: json.dumps(_escaped("\\u{:04X}")(key)),
    "with JSON's other slash": lambda key: key.replace("/", "\\/"),
    "in a URL": lambda key: quote(key, safe=""),
    "in a URL in a URL": lambda key: quote(quote(key, safe=""), safe=""),
    "as percent signs": _escaped("%{:02X}"),
    "in HTML": html.escape,
    "as entities": _escaped("&#{};"),
    "as hexadecimal entities": _escaped("&#x{:X};"),
    "in hex": lambda key: key.encode().hex(),
    "in Base64": lambda key: base64.b64encode(key.encode()).decode(),
    "in Base64 behind one letter": lambda key: base64.b64encode(f"m{key}".encode()).decode(),
    "in Base64 behind two": lambda key: base64.b64encode(f"me{key}.".encode()).decode(),
    "in Base64 in JSON": lambda key: base64.b64encode(key.encode()).decode().replace("/", "\\/"),
    "in Base64 of URLs": lambda key: base64.urlsafe_b64encode(f"me:{key}".encode()).decode(),
}


@pytest.mark.fault(
    "a server quotes a secret in another form",
    "I7",
    without=("vedette.providers.redaction:_forms", lambda value: [value + " "]),
)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found(form: str) -> None:
    """In a text, and in JSON, which stays JSON."""
    quoted = FORMS[form](KEY)
    for said in (SECRETS.redact(f"before {quoted} after"), SECRETS.redact(f"{KEY} {quoted}")):
        assert REDACTED in said
        assert quoted[4:-4] not in said
    raw = json.dumps({"error": {"message": f"bad key: {quoted}"}, "n": 1}).encode()
    for cleaned in (SECRETS.clean(raw), SECRETS.clean(b"data: " + raw).removeprefix(b"data: ")):
        message = json.loads(cleaned)["error"]["message"]
        assert REDACTED in message
        assert quoted[4:-4] not in message


@pytest.mark.fault(
    "a secret lies across the end of a transcript",
    "I7",
    without=("vedette.providers.redaction:Secrets._without_fragment", lambda _, text: text),
)
@pytest.mark.parametrize("length", range(4, len(KEY)))
def test_no_beginning_is_left_by_a_cut(length: int) -> None:
    assert (
        SECRETS.redact(f'{{"error": "bad key {KEY[:length]}', cut=True) == f'{{"error": "bad key {REDACTED}'
    )


def test_other_texts_stay() -> None:
    texts = ["", "a model", "caf\u00e9 \\u003c %41 &amp; &#65;", "sk-", "x" * 1000]
    assert [SECRETS.redact(text, cut=True) for text in texts] == texts
    raw = b'{"id": "caf\\u00e9", "n": 12345678901234567890, "x": 1.0}'
    assert SECRETS.clean(raw) is raw
    assert Secrets().clean(raw) is raw
    assert SECRETS.clean(b"\xff\xfe not text") == b"\xff\xfe not text"


def test_a_short_secret_is_not_looked_for() -> None:
    """It would take the same letters out of every other text."""
    assert Secrets(["ab", "chat"]).redact("a chat about abbots") == "a chat about abbots"


@given(
    st.text(max_size=40),
    st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=6),
)
def test_no_secret_survives(around: str, secret: str) -> None:
    """Whatever it is, and whatever stands around it."""
    said = Secrets([secret]).redact(f"{around}{secret}{around}")
    assert secret.lower() not in said.lower().replace(REDACTED, "\0") or secret in REDACTED * 9


@pytest.mark.parametrize("worst", ["%73", "\\u0073", '\\"', "&#115;", "s", KEY[:-1], KEY, "\\", "%25"])
def test_a_megabyte_takes_no_time(worst: str) -> None:
    raw = (worst * (1_000_000 // len(worst))).encode()
    began = time.process_time()
    SECRETS.clean(raw)
    SECRETS.redact(raw.decode(), cut=True)
    assert time.process_time() - began < 30


def test_what_counts_as_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is configured as one, and headers that carry credentials; a version in a header is none."""
    for name in ("KEY", "TENANT", "PASSWORD"):
        monkeypatch.setenv(name, f"the-{name}-value")
    settings = EndpointSettings(
        url="http://gpu:1",
        api_key=Secret(env="KEY"),
        headers={"X-Tenant": Secret(env="TENANT"), "X-Api-Key": "written-down", "X-Version": "2023-06-01"},
    )
    assert set(access("gpu", settings).secrets or ()) == {"the-KEY-value", "the-TENANT-value", "written-down"}
    login = EndpointSettings(url="http://gpu:1", basic=Basic(user="me", password=Secret(env="PASSWORD")))
    whole = "me:the-PASSWORD-value"
    encoded = base64.b64encode(whole.encode()).decode()
    assert access("gpu", login).secrets == ("the-PASSWORD-value", whole, encoded)
    assert [credential(value) for value in ("Bearer abc", "a-key", "Token a b", "k1 x")] == [
        "abc",
        "a-key",
        "a b",
        "k1 x",
    ]


WHOLE = ("as it is", "in upper case", "in a URL", "in hex", "in Base64", "in Base64 behind one letter")
EVENT = 'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'


def passed(pieces: list[bytes], secrets: Secrets = SECRETS) -> bytes:
    """Return what is left of *pieces* that pass."""
    passing = secrets.passed()
    return b"".join([passing.take(piece) for piece in pieces] + [passing.rest()])


@pytest.mark.fault(
    "a reply that is passed on quotes a secret, split between two pieces",
    "I7",
    without=("vedette.providers.redaction:Secrets.begun_at", lambda _, raw: len(raw)),
)
@pytest.mark.parametrize("form", WHOLE)
def test_a_secret_that_is_split_does_not_pass(form: str) -> None:
    quoted = FORMS[form](KEY)
    whole = (EVENT % f"your key {quoted} is wrong").encode()
    for at in range(1, len(whole)):
        said = passed([whole[:at], whole[at:]])
        assert REDACTED.encode() in said
        assert quoted[4:-4].encode() not in said
        assert said.endswith(b'wrong"}}]}\n\n')
    assert quoted[4:-4].encode() not in passed([bytes([byte]) for byte in whole])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_one_piece_is_found(form: str) -> None:
    """In an event, which stays one."""
    quoted = FORMS[form](KEY)
    event = b"data: " + json.dumps({"content": quoted}).encode() + b"\n\n"
    said = passed([event, event])
    assert said.count(REDACTED.encode()) >= 2
    assert [json.loads(line.removeprefix(b"data: ")) for line in said.splitlines() if line]
    assert quoted[4:-4] not in json.loads(said.splitlines()[0].removeprefix(b"data: "))["content"]


@given(
    st.lists(st.binary(max_size=40), max_size=12),
    st.sampled_from([SECRETS, Secrets(["aaaaaaaab"]), Secrets()]),
)
def test_what_is_no_secret_passes_byte_for_byte(pieces: list[bytes], secrets: Secrets) -> None:
    assert passed(pieces, secrets) == b"".join(pieces)


@given(st.lists(st.sampled_from([b"a", b"aa", b"aaaa", b"b", b"aaaaaaa"]), max_size=20))
def test_what_only_begins_like_a_secret_passes(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert passed(pieces, Secrets(["aaaaaaaab"])) == whole.replace(b"aaaaaaaab", REDACTED.encode())


def test_an_event_passes_at_once() -> None:
    """Its end is the beginning of no secret."""
    event = (EVENT % KEY[:5]).encode()
    assert SECRETS.passed().take(event) == event

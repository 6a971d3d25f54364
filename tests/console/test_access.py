"""Who may look at the console, and who may act there."""

import hashlib
import hmac
from pathlib import Path

import pytest

from consoles import OPERATOR, TOKEN
from vedette.errors import ConfigurationError
from vedette.runtime.origins import Hosts, Rate, is_within
from vedette.settings import Console, Secret
from vedette_console.access import SESSION_S, Keys
from vedette_console.app import keys


def test_a_session_holds_for_its_time_in_all_replicas() -> None:
    """And with the token of its role; another token ends it."""
    known = Keys(TOKEN, OPERATOR, open=False)
    session = known.session("operator", 1000.0, "n")
    replica = Keys("another viewer's", OPERATOR, open=False)
    assert known.role_in(session, 1000.0 + SESSION_S) == replica.role_in(session, 1000.0) == "operator"
    assert known.role_in(session, 1001.0 + SESSION_S) is None
    assert Keys(TOKEN, "a new one", open=False).role_in(session, 1000.0) is None
    assert Keys(TOKEN, None, open=False).role_in(session, 1000.0) is None


@pytest.mark.parametrize(
    "session",
    [
        "",
        ".",
        "...",
        "operator.99999999999.n.",
        "operator.x.n.00",
        "é.1.2.3",
        f"operator.99999999999.n.{'0' * 64}",
    ],
)
def test_a_session_that_was_not_signed_is_none(session: str) -> None:
    assert Keys(TOKEN, OPERATOR, open=False).role_in(session, 0.0) is None


def test_a_viewer_signs_nothing_but_what_a_viewer_may() -> None:
    """It knows its token, and so the key of its sessions: not the operator's."""
    known = Keys(TOKEN, OPERATOR, open=False)
    own = Keys(TOKEN, TOKEN, open=False)  # what a viewer can compute
    assert known.role_in(own.session("operator", 0.0, "n"), 0.0) is None
    assert known.role_in(own.session("viewer", 0.0, "n"), 0.0) == "viewer"


@pytest.mark.parametrize(
    ("content", "role"),
    [
        ("viewer.99.n", "viewer"),
        ("viewer", None),
        ("viewer.99", None),
        ("viewer.x.n", None),
        ("viewer.99.é", None),
        ("viewer.99.n.n", None),
        ("viewer.1_0.n", None),
        ("admin.99.n", None),
        ("form.viewer.99.n", None),
    ],
)
def test_what_has_a_right_signature_and_is_no_session_is_none(content: str, role: str | None) -> None:
    """A viewer can sign any text by its token."""
    salt = b"vedette console: viewer"
    key = hashlib.scrypt(TOKEN.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
    signature = hmac.new(key, content.encode(), "sha256").hexdigest()
    assert Keys(TOKEN, OPERATOR, open=False).role_in(f"{content}.{signature}", 0.0) == role


def test_a_viewer_cannot_make_itself_an_operator() -> None:
    known = Keys(TOKEN, OPERATOR, open=False)
    session = known.session("viewer", 0.0, "n")
    assert known.role_in(session, 1.0) == "viewer"
    assert known.role_in(session.replace("viewer", "operator"), 1.0) is None


def test_tokens_give_roles_and_nothing_gives_none() -> None:
    known = Keys(TOKEN, OPERATOR, open=False)
    assert [known.role_of(one) for one in (TOKEN, OPERATOR, "", "look", "é")] == [
        "viewer",
        "operator",
        None,
        None,
        None,
    ]
    assert Keys(None, None, open=True).role_of("") is None


def test_a_form_belongs_to_its_session() -> None:
    known = Keys(None, OPERATOR, open=True)
    assert known.is_form_token(known.form_token("a"), "a")
    assert not known.is_form_token(known.form_token("a"), "b")
    assert not known.is_form_token("", "a")


@pytest.mark.parametrize(
    ("host", "also", "header", "allowed"),
    [
        ("127.0.0.1", (), "127.0.0.1:7717", True),
        ("127.0.0.1", (), "localhost:7717", True),
        ("127.0.0.1", (), "[::1]:7717", True),
        ("127.0.0.1", (), "vedette.localhost", True),
        ("127.0.0.1", (), "evil.example", False),
        ("127.0.0.1", (), "localhost.evil.example", False),
        ("127.0.0.1", (), "", False),
        ("0.0.0.0", ("models.example",), "Models.Example:443", True),
        ("0.0.0.0", ("models.example",), "evil.example", False),
        ("0.0.0.0", (), "10.1.2.3", True),
        ("0.0.0.0", (), "localhost", False),
    ],
)
def test_a_name_that_was_pointed_here_is_refused(
    host: str, also: tuple[str, ...], header: str, allowed: bool
) -> None:
    assert Hosts(host, also).allows(header) is allowed


def test_a_rate_allows_a_burst_and_then_so_many_a_second() -> None:
    rate = Rate(burst=2, per_s=1)
    assert [rate.wait_s("a", 0.0) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert rate.wait_s("b", 0.0) == 0.0
    assert rate.wait_s("a", 0.5) == pytest.approx(0.5)
    assert rate.wait_s("a", 1.1) == 0.0


def test_an_empty_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        keys(Console(operator_token=Secret(file=str(tmp_path / "token"))))


def test_networks_are_of_addresses_only() -> None:
    assert is_within("10.0.0.5", ["10.0.0.0/8"])
    assert not is_within("10.0.0.5", ["192.168.0.0/16"])
    assert not is_within("evil.example", ["0.0.0.0/0"])
    assert not is_within("10.0.0.5", ["nonsense"])


def test_an_address_that_others_reach_needs_a_token() -> None:
    """It refuses to start, and says what to set."""
    with pytest.raises(
        ConfigurationError, match=r"console.host: 0.0.0.0 can be reached from other machines.*token = "
    ):
        keys(Console(host="0.0.0.0"))
    with pytest.raises(ConfigurationError, match=r"console.trusted_proxies: not set"):
        keys(Console(host="0.0.0.0", trusted_header="x-user"))


def test_behind_a_proxy_nobody_is_let_in_by_an_empty_token(monkeypatch: pytest.MonkeyPatch) -> None:
    known = keys(Console(host="0.0.0.0", trusted_header="x-user", trusted_proxies=("10.0.0.5",)))
    assert not known.open
    assert known.role_of("") is None
    monkeypatch.setenv("LOOK", TOKEN)
    assert keys(Console(host="0.0.0.0", token=Secret(env="LOOK"))).role_of(TOKEN) == "viewer"
    assert keys(Console()).open

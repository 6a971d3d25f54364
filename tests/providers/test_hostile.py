"""Servers that refuse, hang, lie and flood: each is one outcome, soon, and nothing else happens."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from providers.conftest import opened
from providers.replay import Handler, Replay, flood, hang, recorded_stream, reply, stream, trickle
from vedette import providers
from vedette.clock import SystemClock
from vedette.endpoints import MAX_MODELS, OpenEndpoint
from vedette.endpoints.contact import Contact
from vedette.errors import ProviderError
from vedette.providers import Access, Delta, Endpoint, Finished, Generation, ToolCall
from vedette.providers._http import translated
from vedette.providers.passing import Passing
from vedette.providers.posting import Poster
from vedette.providers.redaction import Secrets
from vedette.settings import EndpointSettings
from vedette.types import Outcome
from vedette_benchmarker.answered import whole

_OPENAI = ("/v1/models", "data", "id")
LISTINGS = {
    "anthropic": _OPENAI,
    "gemini": ("/v1beta/models", "models", "name"),
    "ollama": ("/api/tags", "models", "name"),
    "openai": _OPENAI,
    "openai-compatible": _OPENAI,
    "openrouter": _OPENAI,
}
STREAMS = {
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:streamGenerateContent",
    "ollama": "/api/chat",
    "openai": "/v1/chat/completions",
    "openai-compatible": "/v1/chat/completions",
    "openrouter": "/v1/chat/completions",
}

BAD: dict[str, tuple[Handler, Outcome]] = {
    "hangs": (hang, Outcome.TIMEOUT),
    "trickles": (trickle, Outcome.TIMEOUT),
    "floods": (flood, Outcome.TOO_LARGE),
    "401": (reply(401, {"error": {"message": "no key"}}), Outcome.AUTH_FAILED),
    "403": (reply(403), Outcome.AUTH_FAILED),
    "404": (reply(404, "404 page not found"), Outcome.NOT_FOUND),
    "429": (reply(429, {"error": "slow down"}, Retry_After="7"), Outcome.RATE_LIMITED),
    "500": (reply(500, "oops"), Outcome.SERVER_ERROR),
    "busy": (reply(503, {"error": "server busy, please try again"}), Outcome.BUSY),
    "loading": (reply(503, {"error": {"message": "Loading model"}}), Outcome.LOADING),
    "html": (reply(200, "<html><body>Welcome to nginx!</body></html>"), Outcome.GARBAGE),
    "truncated": (reply(200, '{"models": [{"na', Content_Length="500"), Outcome.INCOMPLETE),
    "half": (reply(200, '{"models": [{"na'), Outcome.GARBAGE),
    "redirects": (reply(302, Location="http://127.0.0.1:1/"), Outcome.GARBAGE),
    "redirects to what is no URL": (reply(302, Location="http://box:abc/v1/models"), Outcome.GARBAGE),
    "compresses": (reply(200, b"\x1f\x8b\x08", Content_Encoding="gzip"), Outcome.GARBAGE),
    "binary": (reply(200, bytes(range(256))), Outcome.GARBAGE),
    "nests": (reply(200, "[" * 100_000), Outcome.GARBAGE),
    "another": (reply(200, {"hello": "world"}), Outcome.GARBAGE),
    "a list": (reply(200, [7]), Outcome.GARBAGE),  # an empty one is of a server that has no models
    "a number": (reply(200, 7), Outcome.GARBAGE),
}


@pytest.fixture(params=LISTINGS)
def provider(request: pytest.FixtureRequest) -> str:
    """Return the name of one provider of each kind; the others are rows of the same code."""
    return str(request.param)


async def contacted(provider: str, url: str, reached: Endpoint) -> Contact:
    """Contact what was *reached* at *url* as the services do."""
    endpoint = OpenEndpoint(
        name="x",
        settings=EndpointSettings(provider=provider, url=url),
        provider=providers.load(provider),
        endpoint=reached,
        clock=SystemClock(),
    )
    return await endpoint.contact()


def test_every_kind_of_provider_is_attacked() -> None:
    """A provider with code of its own would be trusted unseen."""
    attacked = {type(providers.load(name)) for name in LISTINGS}
    assert {type(providers.load(name)) for name in providers.names()} == attacked


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.fault("a server hangs, trickles, floods, compresses, redirects, lies", "I6", "I8", "I13")
async def test_a_bad_listing_is_one_outcome(provider: str, bad: str, replay: Replay) -> None:
    """No answer of a server gets past the provider as anything but an outcome."""
    replay.otherwise, outcome = BAD[bad]
    timeout_s = 0.6 if outcome is Outcome.TIMEOUT else 30.0
    async with opened(provider, replay.url, timeout_s=timeout_s) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    assert caught.value.outcome is outcome
    assert len(caught.value.detail) < 400
    assert caught.value.retry_after_s == (7.0 if bad == "429" else None)
    asked = [request.path for request in replay.requests]
    assert len(asked) == len(set(asked))  # nothing is retried
    # A listing that is not found may be under `/engines`, at the server's root, or in what it tells of its one model. A
    # server of one's own that does not answer in time may be one that computes one request at a time, as its documents
    # tell.
    speaks_openai = issubclass(type(providers.load(provider)), type(providers.load("openai-compatible")))
    waits = speaks_openai and caught.value.outcome is Outcome.TIMEOUT
    assert len(asked) == (4 if (provider, bad) == ("openai-compatible", "404") else 2 if waits else 1)


async def test_nothing_listens(provider: str, port: int) -> None:
    """A closed port is refused, and the message says what to do about it."""
    async with opened(provider, f"http://127.0.0.1:{port}") as endpoint:
        with pytest.raises(ProviderError, match="nothing listens") as caught:
            await endpoint.list_models()
    assert caught.value.outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("url", "outcome", "words"),
    [
        ("http://box:1", Outcome.REFUSED, "nothing listens at http://box:1"),
        ("https://box:1", Outcome.RESET, "https://box:1: the connection broke off"),
    ],
)
def test_a_server_that_ends_while_one_connects_is_down(url: str, outcome: Outcome, words: str) -> None:
    """Its system resets connections that it had not accepted. By TLS, it may have accepted this one before."""
    with pytest.raises(ProviderError, match=words) as caught, translated(url):
        raise httpx.ConnectError("[Errno 104] Connect call failed") from ConnectionResetError(104, "reset")
    assert caught.value.outcome is outcome


@pytest.mark.parametrize(
    "field", ["anything", "context_length", "pricing", "capabilities", "architecture", "limits"]
)
@pytest.mark.fault("a server nests a field of a model deeply", "I6")
async def test_a_field_that_nests_deeply_is_no_fault(field: str, replay: Replay) -> None:
    """The model is listed and described as if it were not there."""
    nested: dict[str, Any] = {}
    for _ in range(900):
        nested = {field: nested}
    replay.routes["GET", "/v1/models"] = reply(
        200, {"data": [{"id": "m", "max_model_len": 4096, field: nested}]}
    )
    async with opened("openai-compatible", replay.url) as endpoint:
        [listed] = await endpoint.list_models()
        assert (await endpoint.describe(listed)).facts["served_context_tokens"] == 4096


async def test_no_such_host(provider: str) -> None:
    """A name that resolves to nothing is unreachable."""
    async with opened(provider, "http://no-such-host.invalid:1") as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    assert caught.value.outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize("asked", ["1e999", "-5", "nan", "soon", "9" * 400, "Wed, 21 Oct 9999 07:28:00 GMT"])
@pytest.mark.fault("a server asks for an absurd wait", "I13")
async def test_an_absurd_wait_is_none_or_a_day(asked: str, replay: Replay) -> None:
    """It is a rate limit all the same."""
    replay.otherwise = reply(429, {"error": "slow down"}, Retry_After=asked)
    async with opened("ollama", replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    assert caught.value.outcome is Outcome.RATE_LIMITED
    wait_s = caught.value.retry_after_s
    assert wait_s is None or 0 <= wait_s <= 86_400


@pytest.mark.fault("a server lists a hundred thousand models", "I6", "I13")
async def test_endless_models_are_one_outcome(provider: str, replay: Replay) -> None:
    """How many are too many is not for a server to decide."""
    path, field, key = LISTINGS[provider]
    # To read a hundred thousand takes a second; what is done with too many is the same for all providers.
    count = 100_000 if provider == "ollama" else MAX_MODELS + 1
    replay.routes["GET", path] = reply(200, {field: [{key: f"m{n}"} for n in range(count)]})
    async with opened(provider, replay.url, max_body_bytes=16 << 20) as reached:
        contact = await contacted(provider, replay.url, reached)
    assert contact.outcome is Outcome.TOO_LARGE
    assert f"{count:,} models" in (contact.detail or "")
    assert not contact.listing


@pytest.mark.fault("a server's certificate is of an unknown authority", "I8")
async def test_an_unknown_authority_is_told(tmp_path: Path) -> None:
    """Nothing is sent to it; with its authority it is reached."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    replay = Replay()
    replay.otherwise = reply(200, {"models": []})
    async with await asyncio.start_server(replay.serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with opened("ollama", url) as endpoint:
            with pytest.raises(ProviderError, match="TLS") as caught:
                await endpoint.list_models()
        assert caught.value.outcome is Outcome.UNREACHABLE
        assert not replay.requests
        async with opened("ollama", url, ca_file=str(tmp_path / "ca.pem")) as endpoint:
            assert not await endpoint.list_models()
        assert len(replay.requests) == 1
        async with opened("ollama", url, verify=False) as anybody, opened("ollama", url) as strict:
            assert not await anybody.list_models()
            with pytest.raises(ProviderError, match="TLS"):
                await strict.list_models()


@pytest.mark.fault("a server's certificate has run out, or is not valid yet", "I8")
@pytest.mark.parametrize(
    ("begins", "ends", "remedy"),
    [(-20, -10, "renew it on the server"), (10, 20, "check the clocks of this machine and")],
)
async def test_a_certificate_of_another_day_is_told_apart(
    begins: int, ends: int, remedy: str, tmp_path: Path
) -> None:
    """Naming its authority would not help."""
    authority, now = trustme.CA(), datetime.now(UTC)
    begin, end = (now + timedelta(days=days) for days in (begins, ends))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", not_before=begin, not_after=end).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with await asyncio.start_server(Replay().serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with opened("ollama", url, ca_file=str(tmp_path / "ca.pem")) as endpoint:
            with pytest.raises(ProviderError, match="TLS") as caught:
                await endpoint.list_models()
    assert remedy in (caught.value.remedy or "")


@contextmanager
def dropping() -> Iterator[str]:
    """Yield an address that takes no connection and refuses none, as behind a firewall: its queue is full."""
    with ExitStack() as open_sockets:
        server = open_sockets.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.fault("a server is behind a firewall that drops packets", "I4")
async def test_tls_is_blamed_only_where_it_was_begun() -> None:
    """Of a host that is down, http:// in its url would change nothing."""

    async def failure(url: str) -> ProviderError:
        async with opened("ollama", url) as endpoint:
            with pytest.raises(ProviderError) as caught:
                await endpoint.list_models()
        return caught.value

    async def passed_on(url: str) -> ProviderError:
        way = Passing(Access(endpoint="x", url=url))
        with pytest.raises(ProviderError) as caught:
            async with way.post(url, b"{}"):
                pass
        await way.close()
        return caught.value

    async def posted(url: str) -> ProviderError:
        async with Poster(url, allowed=(), ca_file=None, where="test", clock=SystemClock()) as poster:
            with pytest.raises(ProviderError) as caught:
                await poster.post(b"{}", {}, deadline_s=60.0)
        return caught.value

    with socket.create_server(("127.0.0.1", 0)) as silent, dropping() as dropped:
        mute = f"https://127.0.0.1:{silent.getsockname()[1]}"
        plain, tls, *silences = await asyncio.gather(
            failure(f"http://{dropped}"),
            failure(f"https://{dropped}"),
            failure(mute),
            passed_on(mute),
            posted(mute),
        )
    assert {one.outcome for one in (plain, tls, *silences)} == {Outcome.TIMEOUT}
    for late in (plain, tls):
        assert "no connection within 5 s" in late.detail
        assert late.remedy == "check that its host is up and its port is open"
    for silence in silences:
        assert "no connection by TLS within 5 s" in silence.detail
        assert silence.remedy == "if the server speaks plain HTTP, write http:// in its url"


async def test_who_is_trusted_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each of hundreds of endpoints: it takes a twentieth of a second, and half a megabyte."""
    read: list[ssl.Purpose] = []
    async with opened("ollama", "https://first"), AsyncExitStack() as others:
        monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda _, purpose: read.append(purpose))
        for scheme in ("http", "https"):
            await others.enter_async_context(opened("ollama", f"{scheme}://other"))
    assert not read


ODD_NAMES = ["a/b:c.d*e>f g", "🦙", "n" * 300, "ein name", "null"]
ABSURD: list[Any] = [
    None,
    7,
    [],
    {},
    {"name": None, "id": None},
    {"name": "", "id": ""},
    {"name": ["x"], "id": ["x"]},
    {"name": "with\x00null", "id": "with\nnewline"},
    {"name": "y" * 600, "id": "y" * 600},
]


@pytest.mark.fault("absurd names and fields in a listing", "I13")
async def test_odd_entries_are_kept_or_left_out(provider: str, replay: Replay) -> None:
    """A legal name is kept whatever it looks like; what has none, or absurd fields, harms nobody else."""
    path, field, key = LISTINGS[provider]
    absurd_fields = {
        "size": -5,
        "digest": 7,
        "modified_at": "yesterday",
        "details": "none",
        "meta": [],
        "created": "x",
    }
    entries = [*ABSURD, *({key: name, **absurd_fields} for name in ODD_NAMES)]
    replay.routes["GET", path] = reply(200, {field: entries})
    async with opened(provider, replay.url) as endpoint:
        listing = await endpoint.list_models()
    assert [entry.name for entry in listing] == ODD_NAMES
    assert all("size_bytes" not in entry.facts for entry in listing)


async def test_a_name_listed_twice_is_one_model(provider: str, replay: Replay) -> None:
    """The first entry counts."""
    path, field, key = LISTINGS[provider]
    replay.routes["GET", path] = reply(200, {field: [{key: "m"}, {key: "m"}]})
    async with opened(provider, replay.url) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["m"]


_OPENAI_LINES = ('data: {"choices": [{"delta": {"content": "Hi"}}]}', "")
STREAM_LINES = {
    "anthropic": (
        'data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}',
        "",
    ),
    "gemini": ('data: {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}', ""),
    "ollama": ('{"message": {"content": "Hi"}}',),
    "openai": _OPENAI_LINES,
    "openai-compatible": _OPENAI_LINES,
    "openrouter": _OPENAI_LINES,
}
BAD_STREAMS: dict[str, tuple[Any, Outcome]] = {
    "ends early": (lambda lines: stream(*lines), Outcome.INCOMPLETE),
    "breaks off": (lambda lines: stream(*lines, whole=False), Outcome.INCOMPLETE),
    "is refused": (lambda _: reply(503, {"error": "server busy"}), Outcome.BUSY),
    "hangs": (lambda _: hang, Outcome.TIMEOUT),
    "trickles": (lambda _: trickle, Outcome.TIMEOUT),
    "floods": (lambda _: flood, Outcome.TOO_LARGE),
    "is not JSON": (lambda _: stream("data: {oops", "", "{oops"), Outcome.GARBAGE),
}


@pytest.mark.parametrize("bad", BAD_STREAMS)
@pytest.mark.fault("a stream hangs, trickles, floods, breaks off", "I6", "I13")
async def test_a_bad_stream_is_one_outcome(provider: str, bad: str, replay: Replay) -> None:
    """Only a stream with its end is an answer."""
    path, field, key = LISTINGS[provider]
    make, outcome = BAD_STREAMS[bad]
    replay.routes["GET", path] = reply(200, {field: [{key: "m"}]})
    replay.routes["POST", STREAMS[provider]] = make(STREAM_LINES[provider])
    deadline_s = 0.5 if outcome is Outcome.TIMEOUT else 60.0
    request = Generation(model="m", prompt="x", max_tokens=4, deadline_s=deadline_s)
    async with opened(provider, replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            _ = [item async for item in endpoint.generate(request)]
    assert caught.value.outcome is outcome


@pytest.mark.parametrize(
    ("name", "recorded", "outcome"),
    [
        ("ollama", "ollama/0.32.15/err_runner_killed_midstream_api_chat.json", Outcome.SERVER_ERROR),
        (
            "openai-compatible",
            "ollama/0.32.15/err_runner_killed_midstream_v1_chat_completions.json",
            Outcome.INCOMPLETE,
        ),
    ],
)
@pytest.mark.fault("a model's runner killed in mid-stream", "I10")
async def test_a_runner_killed_in_mid_stream_is_seen(
    name: str, recorded: str, outcome: Outcome, replay: Replay
) -> None:
    """Ollama says so on its own API; on /v1 the stream just ends."""
    path, field, key = LISTINGS[name]
    replay.routes["GET", path] = reply(200, {field: [{key: "tinyllama:1.1b"}]})
    replay.routes["POST", STREAMS[name]] = recorded_stream(recorded)
    async with opened(name, replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            _ = [
                i
                async for i in endpoint.generate(Generation(model="tinyllama:1.1b", prompt="x", max_tokens=4))
            ]
    assert caught.value.outcome is outcome


KEYS = {"anthropic": ("x-api-key", "s3cr3t"), "gemini": ("x-goog-api-key", "s3cr3t")}


@pytest.mark.fault(
    "a server quotes its key in an error",
    "I7",
    without=("vedette.providers.redaction:Secrets.clean", lambda _, raw: raw),
)
async def test_secrets_go_to_their_endpoint_and_nowhere_else(provider: str, replay: Replay) -> None:
    """A key is sent where its API looks for it, in a header; it stands in no URL and in no error."""
    replay.otherwise = reply(401, {"error": {"message": "Invalid API Key s3cr3t"}})
    async with opened(provider, replay.url, secret="s3cr3t") as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    header, value = KEYS.get(provider, ("authorization", "Bearer s3cr3t"))
    (request,) = replay.requests
    assert request.headers[header] == value
    assert [name for name, value in request.headers.items() if "s3cr3t" in value] == [header]
    assert "s3cr3t" not in request.path
    assert "s3cr3t" not in str(caught.value)


async def test_a_chat_with_an_embedding_model_is_unsupported(replay: Replay) -> None:
    """400 of Ollama for `/api/chat` is no failure of the model."""
    replay.recorded("ollama/0.32.15")
    async with opened("ollama", replay.url) as endpoint:
        with pytest.raises(ProviderError, match="does not support chat") as caught:
            _ = [i async for i in endpoint.generate(Generation(model="all-minilm", prompt="x", max_tokens=4))]
    assert caught.value.outcome is Outcome.UNSUPPORTED


async def test_pages_of_models_are_followed(replay: Replay) -> None:
    """`has_more` and `last_id` lead on; a server that never ends is left after a while."""

    async def page(exchange: Any, write: Any) -> None:
        after = int(exchange.path.partition("after=")[2] or 0)
        body = {"data": [{"id": f"{after + 1}"}], "has_more": after < 2, "last_id": f"{after + 1}"}
        await reply(200, json.loads(json.dumps(body)))(exchange, write)

    replay.routes["GET", "/v1/models"] = page
    async with opened("openai-compatible", replay.url) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["1", "2", "3"]


KEY = "sk-canary-7f3a9c51-4be2d0"
FACTS = {"license": KEY, "digest": KEY, "owned_by": KEY, "meta": {"license": KEY}, "details": {"family": KEY}}


@pytest.mark.fault(
    "an error is cut within the key that it quotes",
    "I7",
    without=("vedette.providers.redaction:Secrets.clean", lambda _, raw: raw),
)
@pytest.mark.parametrize("padding", range(250, 294, 6))
@pytest.mark.parametrize("form", ["an object", "a text", "a text in an object"])
async def test_a_key_is_redacted_before_a_text_is_cut(form: str, padding: int, replay: Replay) -> None:
    """Wherever the cut is: of the detail, and of the transcript."""
    said = f"{'x' * padding} {KEY}"
    bodies: dict[str, Any] = {"an object": {"error": {"message": said}}, "a text": said}
    replay.otherwise = reply(500, bodies.get(form, {"error": said * 20}))
    async with opened("openai-compatible", replay.url, secret=KEY) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    for text in (caught.value.detail, str(caught.value.exchange)):
        assert KEY[:6] not in text


@pytest.mark.fault(
    "a listing's names and facts quote the key",
    "I7",
    without=("vedette.providers.redaction:Secrets.clean", lambda _, raw: raw),
)
async def test_a_name_that_quotes_the_key_is_left_out(provider: str, replay: Replay) -> None:
    """It is counted, and the others stay; no other fact of an entry has the key in it."""
    path, field, key = LISTINGS[provider]
    names = ["good", f"m-{KEY}", f"m-{KEY.upper()}", f"m-{KEY.replace('-', '%2D')}", "other"]
    replay.routes["GET", path] = reply(200, {field: [{key: name, **FACTS} for name in names]}, Server=KEY)
    async with opened(provider, replay.url, secret=KEY) as reached:
        contact = await contacted(provider, replay.url, reached)
    assert [entry.name for entry in contact.listing or ()] == ["good", "other"]
    assert "left out of the listing" in (contact.detail or "")
    assert KEY not in str(contact)


@pytest.mark.fault(
    "a stream quotes the key", "I7", without=("vedette.providers.redaction:Secrets.lines", lambda _, raw: raw)
)
@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_stream_that_quotes_the_key(pieces: int, replay: Replay) -> None:
    """In an error in mid-stream, whose line comes in pieces."""
    line = f'data: {{"error": {{"message": "{"x" * 280} bad key {KEY}"}}}}\n\n'.encode()
    cut = len(line) - 20 if pieces == 2 else len(line)

    async def answer(_: Any, write: Any) -> None:
        await write(b"HTTP/1.1 200 X\r\nContent-Length: " + str(len(line)).encode() + b"\r\n\r\n")
        for piece in (line[:cut], line[cut:]):
            await write(piece)
            await asyncio.sleep(0.05)  # two reads, not one

    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    replay.routes["POST", "/v1/chat/completions"] = answer
    async with opened("openai-compatible", replay.url, secret=KEY) as endpoint:
        with pytest.raises(ProviderError) as caught:
            _ = [i async for i in endpoint.generate(Generation(model="m", prompt="x", max_tokens=4))]
    assert KEY[:6] not in f"{caught.value.detail} {caught.value.exchange}"
    assert "bad key" in caught.value.detail


@pytest.mark.fault("an answer quotes the key in pieces", "I7")
def test_an_answer_has_no_key_that_came_in_pieces() -> None:
    """Text, thoughts and tool calls."""
    call = ToolCall(name=KEY, arguments={"city": [f"x {KEY}"]})
    items = [Delta(at=0.0, text=piece, thinking=piece) for piece in KEY]
    answered = whole([*items, Finished(at=1.0, tool_calls=(call,))], Secrets([KEY]))
    assert (answered.text, answered.thinking) == ("***", "***")
    assert answered.finished.tool_calls == (ToolCall(name="***", arguments={"city": ["x ***"]}),)

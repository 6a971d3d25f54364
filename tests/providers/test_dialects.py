"""What servers write in other words than the protocol's and mean the same, from public reports: one of each kind."""

import asyncio
import base64
import gzip
import json
import struct
import zlib
from typing import Any

import pytest

from providers.conftest import opened
from providers.replay import Exchange, Replay, Write, reply, stream
from providers.test_streams import END, HELLO, asked, chunk, events
from vedette.errors import ProviderError
from vedette.providers import ToolCall
from vedette.types import Outcome
from vedette_benchmarker.load import answer_figures

COMPLETIONS = ("POST", "/v1/chat/completions")
NULL_AS_TEXT = HELLO.replace("null", '"null"')
COUNTED = {"prompt_tokens": 10, "completion_tokens": 20}


def also(data: str, **fields: object) -> str:
    """Return a chunk with *fields* beside its own."""
    return json.dumps(json.loads(data) | fields)


READABLE = {
    "an error of null with each piece": events(*(also(one, error=None) for one in (HELLO, END))),
    "an empty error with each piece": events(*(also(one, error={}) for one in (HELLO, END))),
    "a chunk in an array": events(f"[{HELLO}]", f"[{END}]"),
    "an end of null as text with each piece": events(NULL_AS_TEXT, END),
    "another choice before the first": events(
        json.dumps({"choices": [{"index": 1, "delta": {"content": "x"}}, *json.loads(HELLO)["choices"]]}), END
    ),
    "a part in place of a list of parts": events(chunk({"content": {"type": "text", "text": "hello"}}), END),
    "choices that count from one": events(*(one.replace('"index": 0', '"index": 1') for one in (HELLO, END))),
}


@pytest.mark.parametrize("case", READABLE)
async def test_the_answer_is_read(case: str, replay: Replay) -> None:
    """None of these is a failure, or another end."""
    replay.routes[COMPLETIONS] = reply(200, READABLE[case])
    answered, _ = await asked(replay)
    assert (answered.text, answered.finished.reason) == ("hello", "stop")


async def test_an_end_of_null_as_text_is_no_end(replay: Replay) -> None:
    """A stream that breaks off after it is not whole."""
    replay.routes[COMPLETIONS] = reply(200, "data: " + NULL_AS_TEXT + "\n\n")
    with pytest.raises(ProviderError) as caught:
        await asked(replay)
    assert caught.value.outcome is Outcome.INCOMPLETE


@pytest.mark.parametrize(
    "word",
    [
        "length",
        "max_tokens",
        "MAX_TOKENS",
        "max_output_tokens",
        "model_length",
        "model_context_window_exceeded",
    ],
)
async def test_an_answer_cut_off_at_its_limit_is_told_in_one_word(word: str, replay: Replay) -> None:
    """What a cut answer leaves out disproves nothing, in whatever word it is said."""
    replay.routes[COMPLETIONS] = reply(200, events(HELLO, chunk({}, word)))
    answered, _ = await asked(replay)
    assert answered.finished.reason == "length"


USAGES = {
    "numbers as text": {"usage": {"prompt_tokens": "10", "completion_tokens": "20"}},
    "numbers with a point": {"usage": {"prompt_tokens": 10.0, "completion_tokens": 20.0}},
    "the names of the Responses API": {"usage": {"input_tokens": 10, "output_tokens": 20}},
    "in the choice": {"choices": [{"index": 0, "delta": {}, "usage": COUNTED}]},
    "Groq's": {"choices": [], "x_groq": {"id": "r", "usage": COUNTED}},
}


@pytest.mark.parametrize("case", USAGES)
async def test_usage_is_found(case: str, replay: Replay) -> None:
    """Without it tokens would be estimated from pieces."""
    replay.routes[COMPLETIONS] = reply(200, events(HELLO, END, json.dumps(USAGES[case])))
    answered, _ = await asked(replay)
    assert (answered.finished.prompt_tokens, answered.finished.output_tokens) == (10, 20)


async def test_a_tool_is_called_in_the_older_form(replay: Replay) -> None:
    """`function_call`, in pieces; beside `tool_calls` it is the same call."""
    whole = {"name": "f", "arguments": '{"a": 1}'}
    pieces = [
        chunk({"function_call": {"name": "f", "arguments": '{"a"'}}),
        chunk({"function_call": {"arguments": ": 1}"}}),
    ]
    both = [chunk({"function_call": whole, "tool_calls": [{"index": 0, "function": whole}]})]
    single = [chunk({"tool_calls": {"id": "a", "function": whole}})]
    for said in (pieces, both, single):
        replay.routes[COMPLETIONS] = reply(200, events(*said, chunk({}, "function_call")))
        answered, _ = await asked(replay)
        assert answered.finished.tool_calls == (ToolCall(name="f", arguments={"a": 1}),)


async def left_open(_: Exchange, write: Write) -> None:
    """Send an answer with its end and its usage, and leave the connection open without `[DONE]`."""
    await write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    for data in (HELLO, END, json.dumps({"choices": [], "usage": COUNTED})):
        event = f"data: {data}\n\n".encode()
        await write(b"%X\r\n%s\r\n" % (len(event), event))
    await asyncio.Event().wait()


@pytest.mark.fault("a server leaves the connection open after the end of an answer", "I13")
async def test_an_answer_that_has_ended_is_not_waited_for(replay: Replay) -> None:
    """It is whole with its finish_reason; the silence after it is no part of its time."""
    replay.routes[COMPLETIONS] = left_open
    answered, items = await asked(replay, deadline_s=60.0)
    assert (answered.text, answered.finished.output_tokens) == ("hello", 20)
    assert items[-1].at - items[0].at < 2.5  # the silence is longer


async def test_what_llama_swap_writes_while_it_loads_is_no_answer(replay: Replay) -> None:
    """With `sendLoadingState` it tells of its loading as thoughts: they are not the model's first token."""
    loading = json.dumps({"choices": [{"delta": {"reasoning_content": "llama-swap loading model: m\n"}}]})
    replay.routes[COMPLETIONS] = reply(200, events(loading, loading, HELLO, END))
    answered, items = await asked(replay, owner="llama-swap")
    assert (answered.text, answered.thinking, len(items)) == ("hello", "", 2)
    _, others = await asked(replay, owner="vllm")
    assert len(others) == 4  # elsewhere they are thoughts
    assert answer_figures(items[0].at, items)["ttft_ms"] == 0


ERRORS = [
    ({"code": "rate_limit", "message": "slow down"}, Outcome.RATE_LIMITED),
    ({"type": "RateLimitError", "message": "slow down"}, Outcome.RATE_LIMITED),
    ({"code": 1302, "message": "Rate limit reached"}, Outcome.RATE_LIMITED),
    ({"code": "context_length_exceeded", "message": "too long"}, Outcome.BAD_REQUEST),
    ({"type": "unavailable_error", "message": "overloaded"}, Outcome.BUSY),
]


@pytest.mark.parametrize(("error", "outcome"), ERRORS)
async def test_an_error_in_a_stream_is_what_its_words_say(
    error: dict[str, Any], outcome: Outcome, replay: Replay
) -> None:
    """It has no status of its own."""
    replay.routes[COMPLETIONS] = reply(200, events(json.dumps({"error": error})))
    with pytest.raises(ProviderError) as caught:
        await asked(replay)
    assert caught.value.outcome is outcome


LISTINGS: dict[str, Any] = {
    "names alone": ["a", "b"],
    "names alone as data": {"data": ["a", "b"]},
    "names in place of ids": {"data": [{"name": "a"}, {"model": "b", "name": "The B"}]},
    "models in place of data": {"models": [{"name": "a"}, {"name": "b"}]},
    "an error of null": {"data": [{"id": "a"}, {"id": "b"}], "error": None},
    "a page that is the same without end": {
        "data": [{"id": "a"}, {"id": "b"}],
        "has_more": True,
        "last_id": "b",
    },
    "names twice, and none": {"data": [{"id": "a"}, {"id": 7}, {}, None, {"id": "b"}, {"id": "a"}]},
}


@pytest.mark.parametrize("case", LISTINGS)
async def test_a_listing_is_read(case: str, replay: Replay) -> None:
    """Each name once, and in few requests."""
    page = reply(200, LISTINGS[case])
    replay.routes["GET", "/v1/models"] = replay.routes["GET", "/v1/models?after=b"] = page
    async with opened("openai-compatible", replay.url) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["a", "b"]
    assert len(replay.requests) <= 3


@pytest.mark.parametrize("place", ["/v1/models/", "http://inside:8000/v1/models/"])
async def test_a_slash_that_a_framework_adds_is_followed(place: str, replay: Replay) -> None:
    """FastAPI and others redirect so, behind a proxy often to a host of their own: the host stays ours."""
    replay.routes["GET", "/v1/models"] = reply(307, Location=place)
    replay.routes["GET", "/v1/models/"] = reply(200, {"data": [{"id": "m"}]})
    async with opened("openai-compatible", replay.url) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["m"]


REMEDIES = {
    "HTTP sent to TLS, by nginx": (
        reply(400, "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>"),
        "write https://",
    ),
    "HTTP sent to TLS, by Go": (
        reply(400, "Client sent an HTTP request to an HTTPS server."),
        "write https://",
    ),
    "a login by name and password": (
        reply(
            401, "<html><title>401 Authorization Required</title></html>", WWW_Authenticate='Basic realm="x"'
        ),
        "basic = {",
    ),
    "a proxy's page for a server that does not run": (
        reply(503, "<html><title>503 Service Temporarily Unavailable</title></html>"),
        "check that the server behind it runs",
    ),
    "a version that is missing": (
        reply(400, {"error": {"message": "Missing required query parameter: api-version"}}),
        "?api-version=",
    ),
    "another header than a bearer token": (
        reply(401, {"error": {"message": "x-api-key header is required"}}),
        "headers = { x-api-key = ",
    ),
    "a header that a gateway wants": (
        reply(400, {"message": "Either x-portkey-config or x-portkey-provider header is required"}),
        "headers = { x-portkey-config = ",
    ),
    "a path that Amazon's gateway does not know": (
        reply(403, {"message": "Missing Authentication Token"}),
        "check the path of its url",
    ),
    "a host name that a server does not take": (reply(400, "Invalid host header"), "host name"),
    "a host name that a development server does not take": (
        reply(403, 'Blocked request. This host ("gpu.lan") is not allowed.'),
        "host name",
    ),
    "a host name of another certificate": (reply(421, "Misdirected Request"), "host name"),
    "an address that may not ask": (
        reply(401, {"error": {"message": "Your IP 1.2.3.4 is not authorized to access the API"}}),
        "address of this machine",
    ),
    "a model of Ollama's cloud without a login": (
        reply(401, {"error": "unauthorized", "signin_url": "https://ollama.com/connect"}),
        "ollama signin",
    ),
}


@pytest.mark.parametrize("case", REMEDIES)
async def test_a_refusal_that_tells_its_remedy_is_heard(case: str, replay: Replay) -> None:
    """What to write in the configuration."""
    replay.otherwise, remedy = REMEDIES[case]
    async with opened("openai-compatible", replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    assert remedy in (caught.value.remedy or "")


async def test_another_server_behind_the_provider_of_ollama_is_named(replay: Replay) -> None:
    """It knows no path of Ollama's."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    async with opened("ollama", replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    assert '"openai-compatible"' in (caught.value.remedy or "")


async def test_an_ollama_that_refuses_the_host_name_is_no_matter_of_keys(replay: Replay) -> None:
    """It says 403 and nothing else."""
    replay.otherwise = reply(403, b"")
    async with opened("ollama", replay.url) as endpoint:
        for ask in (endpoint.reach, endpoint.list_models):
            with pytest.raises(ProviderError) as caught:
                await ask()
            assert "OLLAMA_HOST=0.0.0.0" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("provider", "pasted"),
    [
        ("openai-compatible", "/v1/v1"),
        ("openai-compatible", "/v1/chat"),
        ("openai-compatible", "/v1/messages"),
        ("openai-compatible", "/v1/audio/transcriptions"),
        ("ollama", "/api/show"),
        ("ollama", "/api/embeddings"),
        ("ollama", "/v1/embeddings/"),
    ],
)
async def test_a_pasted_path_is_no_part_of_the_address(provider: str, pasted: str, replay: Replay) -> None:
    """The path of any request of the protocol, and a version written twice."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    replay.routes["GET", "/api/tags"] = reply(200, {"models": [{"name": "m"}]})
    async with opened(provider, replay.url + pasted) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["m"]


COMPRESSED = {
    "gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "utf-8": bytes,  # the mistake of a server that compresses nothing
    "none": bytes,
}


@pytest.mark.parametrize("coding", COMPRESSED)
async def test_a_reply_that_is_compressed_all_the_same_is_read(coding: str, replay: Replay) -> None:
    """Some proxies compress whatever is asked: listings, errors and streams."""
    pack = COMPRESSED[coding]
    replay.routes[COMPLETIONS] = reply(200, pack(events(HELLO, END).encode()), Content_Encoding=coding)
    answered, _ = await asked(replay)
    assert answered.text == "hello"
    replay.routes[COMPLETIONS] = reply(429, pack(b'{"error": {"message": "slow"}}'), Content_Encoding=coding)
    with pytest.raises(ProviderError, match="slow"):
        await asked(replay)


@pytest.mark.fault("a small compressed body that becomes a large one", "I6", "I8")
async def test_a_compressed_reply_is_bounded(replay: Replay) -> None:
    """It is counted as it is unpacked, a listing and a stream."""
    replay.otherwise = reply(200, gzip.compress(b" " * (64 << 20)), Content_Encoding="gzip")
    replay.routes[COMPLETIONS] = replay.otherwise
    async with opened("openai-compatible", replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    assert caught.value.outcome is Outcome.TOO_LARGE
    with pytest.raises(ProviderError) as caught:
        await asked(replay)
    assert caught.value.outcome is Outcome.TOO_LARGE


async def test_a_compression_that_cannot_be_read_is_named(replay: Replay) -> None:
    """Brotli and others."""
    replay.otherwise = reply(200, b"\x8b\x02\x80", Content_Encoding="br")
    async with opened("openai-compatible", replay.url) as endpoint:
        with pytest.raises(ProviderError, match="compressed"):
            await endpoint.list_models()


async def test_vectors_in_base64_are_read(replay: Replay) -> None:
    """Little-endian floats of 32 bits, as OpenAI writes them."""
    written = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    replay.routes["POST", "/v1/embeddings"] = reply(200, {"data": [{"embedding": written}]})
    async with opened("openai-compatible", replay.url) as endpoint:
        assert (await endpoint.embed("m", ["a"])).values == [[0.5, -1.0]]


RANKED: list[Any] = [
    [{"score": 0.9, "index": 1}, {"score": 0.1, "index": 0}],
    {"data": [{"relevance_score": 0.1, "index": 0}, {"relevance_score": 0.9, "index": 1}]},
    {"results": [{"score": 0.1, "index": "0"}, {"score": 0.9, "index": "1"}]},
]


@pytest.mark.parametrize("ranked", RANKED)
async def test_a_ranking_is_read(ranked: Any, replay: Replay) -> None:
    """SGLang's array, Voyage's data, scores without relevance."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    replay.routes["POST", "/v1/rerank"] = reply(200, ranked)
    async with opened("openai-compatible", replay.url) as endpoint:
        assert (await endpoint.rerank("m", "q", ["a", "b"])).scores == [0.1, 0.9]


async def test_an_error_with_status_200_is_told_in_its_words(replay: Replay) -> None:
    """Of vectors and rankings too."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    error = reply(200, {"error": {"message": "no model for this", "code": 400}})
    replay.routes["POST", "/v1/embeddings"] = replay.routes["POST", "/v1/rerank"] = error
    async with opened("openai-compatible", replay.url) as endpoint:
        for call in (endpoint.embed("m", ["a"]), endpoint.rerank("m", "q", ["a", "b"])):
            with pytest.raises(ProviderError, match="no model for this"):
                await call


@pytest.mark.parametrize("error", [{"detail": "out of memory"}, {"message": "out of memory", "code": 500}])
async def test_an_error_without_its_name_is_an_error(error: dict[str, Any], replay: Replay) -> None:
    """FastAPI's, and a bare message with a code, in the middle of a stream with status 200."""
    replay.routes[COMPLETIONS] = reply(200, events(HELLO, json.dumps(error)))
    with pytest.raises(ProviderError, match="out of memory"):
        await asked(replay)


@pytest.mark.parametrize(
    "fails", [reply(500, "oops"), reply(200, "<html></html>"), reply(400, {"error": "x"})]
)
@pytest.mark.parametrize("owner", ["organization_owner", "llamacpp", "llama-swap", "vllm"])
async def test_a_question_that_a_server_fails_at_costs_its_models_nothing(
    owner: str, fails: Any, replay: Replay
) -> None:
    """Properties, its own listing, what is running: a model is listed and described without them."""
    replay.otherwise = fails
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": owner}]})
    async with opened("openai-compatible", replay.url) as endpoint:
        [listed] = await endpoint.list_models()
        assert (await endpoint.describe(listed)).usual_kind == "chat"
        await endpoint.resident()


async def test_ollama_may_list_models_without_names(replay: Replay) -> None:
    """Servers with its API give `model` alone."""
    replay.routes["GET", "/api/tags"] = reply(200, {"models": [{"model": "a:latest"}, {"name": "b"}, {}]})
    async with opened("ollama", replay.url) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["a:latest", "b"]


async def test_ollama_may_write_an_error_of_null(replay: Replay) -> None:
    """Proxies in front of it do."""
    lines = [
        {"message": {"content": "hello"}, "error": None},
        {"done": True, "done_reason": "stop", "error": ""},
    ]
    replay.routes["POST", "/api/chat"] = stream(*map(json.dumps, lines))
    answered, _ = await asked(replay, provider="ollama")
    assert answered.text == "hello"


async def test_a_listing_of_its_own_that_is_no_json_is_none(replay: Replay) -> None:
    """A server that answers any path with a page, or a stream, has only the listing of the protocol."""
    replay.otherwise = reply(200, "<html><title>LM</title></html>")
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": "organization_owner"}]})
    async with opened("openai-compatible", replay.url) as endpoint:
        assert [entry.name for entry in await endpoint.list_models()] == ["m"]

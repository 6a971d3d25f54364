"""Tools, schemas, pictures, ranks and other work: how each provider asks for them and reads what comes."""

import base64
import json
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from providers.conftest import opened
from providers.replay import FIXTURES, Replay, hang, recorded_stream, reply, stream
from vedette.errors import ProviderError
from vedette.providers import Activity, Finished, Generation, Tool, ToolCall
from vedette.types import Outcome

TOOL = Tool(name="get_weather", description="Weather.", parameters={"type": "object"})
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
PICTURE = b"\x89PNG..."
ASKED = Generation(model="m", prompt="Hello", max_tokens=8, deadline_s=60.0)
PROVIDERS = ("ollama", "openai-compatible")


def recorded_lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


async def finished(provider: str, replay: Replay, request: Generation) -> Finished:
    """Return the end of the answer to *request*."""
    async with opened(provider, replay.url) as endpoint, aclosing(endpoint.generate(request)) as items:
        last = [item async for item in items][-1]
    assert isinstance(last, Finished)
    return last


def answering(replay: Replay) -> None:
    """Have *replay* answer both protocols with a word."""
    word = 'data: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}'
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    replay.routes["POST", "/v1/chat/completions"] = stream(word, "data: [DONE]")
    replay.routes["POST", "/api/chat"] = stream('{"message": {"content": "hi"}, "done": true}')


async def body_of(provider: str, replay: Replay, **asked: object) -> dict[str, object]:
    """Return the body that *provider* sends for what is *asked*."""
    answering(replay)
    await finished(provider, replay, msgspec.structs.replace(ASKED, **asked))
    body: dict[str, object] = replay.requests[-1].body
    return body


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_tools_are_offered_as_functions(provider: str, replay: Replay) -> None:
    body = await body_of(provider, replay, tools=(TOOL,))
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "get_weather", "description": "Weather.", "parameters": TOOL.parameters},
        }
    ]


async def test_a_schema_goes_where_each_server_looks_for_it(replay: Replay) -> None:
    assert (await body_of("ollama", replay, schema=SCHEMA))["format"] == SCHEMA
    asked = (await body_of("openai-compatible", replay, schema=SCHEMA))["response_format"]
    assert asked == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
    }


async def test_a_picture_goes_with_the_prompt(replay: Replay) -> None:
    encoded = base64.b64encode(PICTURE).decode()
    (message,) = (await body_of("ollama", replay, image=PICTURE))["messages"]  # type: ignore[misc]
    assert message == {"role": "user", "content": "Hello", "images": [encoded]}
    (message,) = (await body_of("openai-compatible", replay, image=PICTURE))["messages"]  # type: ignore[misc]
    assert message["content"][0] == {"type": "text", "text": "Hello"}
    assert message["content"][1]["image_url"]["url"] == f"data:image/png;base64,{encoded}"


async def test_recorded_tool_calls_are_read(replay: Replay) -> None:
    """Of a real model, through both of Ollama's protocols."""
    folder = FIXTURES / "ollama" / "0.32.15"
    answering(replay)
    replay.routes["POST", "/api/chat"] = stream(*recorded_lines(folder / "chat_tool_call_real_stream.ndjson"))
    replay.routes["POST", "/v1/chat/completions"] = stream(
        *recorded_lines(folder / "v1_chat_tool_call_real_stream.txt")
    )
    for provider in PROVIDERS:
        end = await finished(provider, replay, ASKED)
        assert end.tool_calls == (ToolCall(name="get_weather", arguments={"city": "Paris"}),)


async def test_a_call_in_pieces_is_put_together(replay: Replay) -> None:
    """Name first, arguments piece by piece, two calls interleaved; what is no JSON object has no arguments."""
    pieces = (
        (0, {"name": "one", "arguments": ""}),
        (1, {"name": "two", "arguments": "[1"}),
        (0, {"arguments": '{"a"'}),
        (0, {"arguments": ": 1}"}),
        (1, {"arguments": "]"}),
    )
    chunks = [
        "data: "
        + json.dumps({"choices": [{"delta": {"tool_calls": [{"index": index, "function": function}]}}]})
        for index, function in pieces
    ]
    answering(replay)
    replay.routes["POST", "/v1/chat/completions"] = stream(*chunks, "data: [DONE]")
    end = await finished("openai-compatible", replay, ASKED)
    assert end.tool_calls == (ToolCall(name="one", arguments={"a": 1}), ToolCall(name="two"))


async def test_ranks_are_put_in_the_order_of_the_documents(replay: Replay) -> None:
    """Servers answer best first."""
    answering(replay)
    ranked = {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": -3.5}]}
    replay.routes["POST", "/v1/rerank"] = reply(200, ranked)
    async with opened("openai-compatible", replay.url) as endpoint:
        assert (await endpoint.rerank("m", "q", ["a", "b"])).scores == [-3.5, 0.9]
        with pytest.raises(ProviderError, match="3 documents gave 2 scores"):
            await endpoint.rerank("m", "q", ["a", "b", "c"])
    async with opened("ollama", replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.rerank("m", "q", ["a"])
    assert caught.value.outcome is Outcome.UNSUPPORTED


@pytest.mark.parametrize("server", ["llamacpp/2026.10", "vllm/0.32.0"])
async def test_recorded_metrics_tell_of_work(server: str, replay: Replay) -> None:
    """Of an idle server: nothing running, and a count of tokens to compare with later."""
    replay.recorded(server)
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        activity = await endpoint.activity()
    assert activity is not None
    assert (activity.requests, activity.generated_tokens) == (0, 0)


async def test_without_metrics_slots_tell(replay: Replay) -> None:
    """And where both are switched off, nothing is told."""
    replay.recorded("llamacpp/2026.10")
    del replay.routes["GET", "/metrics"]
    busy = [{"id": 0, "is_processing": True}, {"id": 1, "is_processing": False}]
    replay.routes["GET", "/slots"] = reply(200, busy)
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        assert await endpoint.activity() == Activity(running=1)
        replay.routes["GET", "/slots"] = reply(501, {"error": {"message": "slots are off"}})
        assert await endpoint.activity() is None


async def test_ollama_tells_which_models_were_used(replay: Replay) -> None:
    """Every use moves the time at which a model will be unloaded; one that is loaded long after that has no end."""
    replay.recorded("ollama/0.32.15")
    async with opened("ollama", replay.url) as endpoint:
        activity, resident = await endpoint.activity(), await endpoint.resident()
    assert activity is not None
    assert resident is not None
    assert {one.expires_at for one in resident.values()} == {None}
    assert {"smollm2:135m", "all-minilm:latest"} <= set(activity.used)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_failure_brings_its_transcript(provider: str, replay: Replay) -> None:
    """What was sent and what came back, cut to what a person reads, without credentials."""
    answering(replay)
    quoted = {"error": "bad key Bearer sk-very-secret-1, " + "x" * 5000}
    for path in ("/api/chat", "/v1/chat/completions"):
        replay.routes["POST", path] = reply(500, quoted)
    async with opened(provider, replay.url, secret="sk-very-secret-1") as endpoint:
        with pytest.raises(ProviderError) as caught:
            _ = [item async for item in endpoint.generate(ASKED)]
    exchange = caught.value.exchange
    assert exchange is not None
    assert exchange.sent.startswith("POST /")
    assert '"Hello"' in exchange.sent
    assert exchange.received is not None
    assert exchange.received.startswith('HTTP 500 {"error": "bad key Bearer ***')
    assert len(exchange.received) < 600
    assert "secret" not in caught.value.detail


async def test_a_silence_has_a_transcript_too(replay: Replay) -> None:
    """With nothing received."""
    replay.routes["GET", "/api/tags"] = hang
    async with opened("ollama", replay.url, timeout_s=0.1) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    assert caught.value.exchange is not None
    assert (caught.value.exchange.sent, caught.value.exchange.received) == ("GET /api/tags", None)


async def test_a_recorded_stream_without_tools_calls_none(replay: Replay) -> None:
    answering(replay)
    replay.routes["POST", "/v1/chat/completions"] = recorded_stream(
        "llamacpp/2026.10/chat_stream_usage.stream.txt"
    )
    assert (await finished("openai-compatible", replay, ASKED)).tool_calls == ()

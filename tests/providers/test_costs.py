"""Servers whose replies are made to cost much to read, and numbers that no field can hold."""

import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import msgspec
import pytest

from providers.conftest import opened
from providers.replay import Replay, reply
from vedette.errors import ProviderError
from vedette.providers import Endpoint, Generation, Listing, Metered
from vedette.providers._stream import lines

PROVIDERS = ("anthropic", "gemini", "ollama", "openai-compatible", "openrouter")  # OpenAI's is as the fourth
MIB = 1 << 20
# Ten times as much takes ten times as long, a hundred times if it is quadratic. Between them lies what a busy
# machine adds; CPU time is counted, of which others' work takes none. Times below the floor say nothing.
MAX_TIMES = 35
FLOOR_S_PER_MB = 0.02

TEXTS = {
    "letters": "a",
    "digits": "1",
    "points": "1.",
    "spaces": " ",
    "line ends": "\n",
    "lines": "num_ctx 1\n",
    "combining marks": "\u0316\u0301",
    "brackets": "[{",
    "hyphens": "-q4_k",
    "paths": "models--a/",
    "escapes of JSON": "\\u0073",
    "escapes of URLs": "%53%73",
    "escapes of HTML": "&#x73;",
    "units": "7b-",
    "samples": "a{} 1",
}
FIELDS = """
    name model id digest modified_at size details format family families parameter_size quantization_level
    parameters template license capabilities description status meta n_ctx context_length architecture arch type
    state object quantization max_context_length created owned_by pricing top_provider input_modalities
    remote_host display_name supportedGenerationMethods version message error content response thinking
    done_reason finish_reason reason index relevance_score embedding values text usage tool_calls function
    arguments general.architecture general.license general.parameter_count
""".split()  # noqa: SIM905 - seventy quoted lines say no more
FRAMES = ("details", "meta", "model_info", "architecture", "pricing", "top_provider", "usage", "timings")


def entry(value: object) -> dict[str, object]:
    """Return an object that has *value* in every field that a provider reads, and in objects within it."""
    flat: dict[str, object] = dict.fromkeys(FIELDS, value)
    return {**flat, **dict.fromkeys(FRAMES, flat), "id": "m", "name": "m", "model": "m"}


def document(value: object) -> bytes:
    one = entry(value)
    listed = {field: [one] for field in ("data", "models", "embeddings", "results", "candidates", "choices")}
    return json.dumps({**one, **listed}).encode()


def text_documents(length: int) -> Iterator[tuple[str, bytes]]:
    fields = len(FIELDS) * (len(FRAMES) + 1) * 7
    for name, unit in TEXTS.items():
        each = length // fields
        yield name, document((unit * each)[:each])


def raw_documents(length: int) -> Iterator[tuple[str, bytes]]:
    """Return what is no document of a provider: nested, numbers, many small objects, broken texts."""
    yield "nested lists", b"[" * length
    yield "nested objects", b'{"data":' * (length // 8)
    yield "a long number", b'{"data": [{"id": ' + b"1" * length + b"}]}"
    small = b'{"id":"m%d","name":"models/m%d"},'
    many = b"".join(small % (n, n) for n in range(length // 40))
    yield "many entries", b'{"data":[' + many[:-1] + b'],"models":[' + many[:-1] + b"]}"
    yield "many keys", json.dumps({"data": [{f"k{n}": n for n in range(length // 16)}]}).encode()
    for name, unit in TEXTS.items():
        raw = (unit * length)[:length].encode()
        yield f"only {name}", raw
        yield (
            f"a stream of {name}",
            b"data: " + json.dumps({"error": {"message": raw.decode()}}).encode() + b"\n\n",
        )


@cache
def documents(length: int) -> dict[str, bytes]:
    return dict((*text_documents(length), *raw_documents(length)))


async def whole(endpoint: Endpoint) -> list[object]:
    request = Generation(model="m", prompt="x", max_tokens=4, deadline_s=60.0)
    return [item async for item in endpoint.generate(request)]


async def load(endpoint: Endpoint) -> object:
    return await endpoint.load(None) if isinstance(endpoint, Metered) else None


CALLS: dict[str, Callable[[Endpoint], Awaitable[object]]] = {
    "reach": lambda endpoint: endpoint.reach(),
    "list": lambda endpoint: endpoint.list_models(),
    "describe": lambda endpoint: endpoint.describe(Listing(name="m")),
    "resident": lambda endpoint: endpoint.resident(),
    "activity": lambda endpoint: endpoint.activity(),
    "load": load,
    "generate": whole,
    "embed": lambda endpoint: endpoint.embed("m", ["x"]),
    "rerank": lambda endpoint: endpoint.rerank("m", "x", ["y"]),
}

READ_LINES = ("generate", "load", "activity")  # to all others, events are no JSON
# Every call at 1 MB; a short run of a document and of a stream, whose readers the others use.
COSTS = (
    *((call, 30_000) for call in ("list", "generate")),
    *(pytest.param(call, 1_000_000, marks=pytest.mark.lane("faults")) for call in CALLS),
)


async def cost(provider: str, replay: Replay, body: bytes, call: str) -> float:
    """Return the CPU seconds that *call* takes when every reply is *body*."""
    replay.otherwise = reply(200, body)
    async with opened(
        provider, replay.url, max_body_bytes=16 * MIB, timeout_s=60.0, secret="s3cr3t-key"
    ) as endpoint:
        begun = time.process_time()
        with suppress(
            ProviderError
        ):  # what it makes of such a reply is another test's; this is about the time
            await CALLS[call](endpoint)
        return time.process_time() - begun


@pytest.mark.parametrize(("call", "length"), COSTS)
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.fault("a server's reply of 1 MB is made to cost much to read", "I5", "I13")
async def test_reading_a_reply_is_linear(provider: str, call: str, length: int, replay: Replay) -> None:
    """Ten times as much takes no more than about ten times as long, whatever stands in it."""
    slow, floor_s = {}, FLOOR_S_PER_MB * length / 1e6
    for name, body in documents(length).items():
        took = await cost(provider, replay, body, call)
        if took > MAX_TIMES * floor_s:
            base = await cost(provider, replay, documents(length // 10)[name], call)
            if took > MAX_TIMES * max(floor_s, base):
                took = min(
                    took, await cost(provider, replay, body, call)
                )  # a collection of garbage is no reading
            if took > MAX_TIMES * max(floor_s, base):
                slow[name] = (base, took)
    assert not slow


def pieces(provider: str, length: int) -> list[bytes]:
    """Return a stream that calls a tool with arguments in *length* pieces."""
    start: dict[str, Any]
    piece: dict[str, Any]
    end: list[dict[str, Any]]
    if provider == "anthropic":
        start = {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "name": "f"},
        }
        piece = {"type": "content_block_delta", "index": 0, "delta": {"partial_json": "1" * 200}}
        end = [{"type": "message_stop"}]
    else:
        start = {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}}]}
        piece = {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "1" * 200}}]}}]}
        end = [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    events = (start, *[piece] * length, *end)
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]


@pytest.mark.parametrize("provider", ["anthropic", "openai-compatible"])
async def test_arguments_in_pieces_are_put_together_once(provider: str, replay: Replay) -> None:
    """Each of 10,000 pieces takes no longer than each of 1,000."""
    listed = json.dumps({"data": [{"id": "m"}]})
    replay.routes["GET", "/v1/models"] = reply(200, listed)

    async def each(length: int) -> float:
        return await cost(provider, replay, b"".join(pieces(provider, length)), "generate") / length

    assert min(await each(10_000), await each(10_000)) < 4 * await each(1_000)


@pytest.mark.fault("a line of a stream comes in 100,000 pieces", "I5", "I6")
async def test_a_line_in_pieces_is_put_together_once() -> None:
    async def chunks(count: int) -> AsyncIterator[tuple[float, bytes]]:
        for _ in range(count):
            yield 0.0, b"123456789 "
        yield 0.0, b"\n"

    async def each(count: int) -> float:
        begun = time.process_time()
        found = [len(line) async for _, line in lines(chunks(count))]
        assert found == [10 * count - 1]
        return (time.process_time() - begun) / count

    assert min(await each(100_000), await each(100_000)) < 4 * await each(10_000)


NUMBERS = (
    "1180591620717411303424", "-1", "1e400", "1e308", "1e-320", "1.5", '"12"', "true", "null", "[]", "{}",
    "18446744073709551615", "9223372036854775808", "9007199254740993", "1" * 400, "NaN", "[[1]]", '"9"', '"."',
    '"1.1.1B"',
    '"' + "9" * 400 + 'B"', '"9999-12-31T23:59:59-23:59"', '"0001-01-01T00:00:00+23:59"', "4611686018427387904",
)  # fmt: skip


def numbers(value: object) -> Iterator[int | float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.fault("counts, sizes, durations and times that no field can hold", "I13")
async def test_absurd_numbers_are_unknown(provider: str, number: str, replay: Replay) -> None:
    """Of every field: the call works or is one outcome, and what it returns fits 64 bits also when summed."""
    raw = document("@").replace(b'"@"', number.encode())
    finish = b', "choices": [{"finish_reason": "stop", "delta": {}}]'
    bodies = (
        raw,
        b"data: " + raw + b"\n\n",
        b"data: " + raw[:-1] + finish + b', "done": true, "type": "message_stop"}\n\n',
    )
    for body in bodies:
        replay.otherwise = reply(200, body)
        async with opened(provider, replay.url, max_body_bytes=16 * MIB) as endpoint:
            for call in CALLS if body is raw else READ_LINES:
                try:
                    result = await CALLS[call](endpoint)
                except ProviderError:
                    continue
                told = msgspec.to_builtins(result, enc_hook=str)
                # The vectors are the model's answer, and graded as one.
                found = list(numbers({**told, "values": ()} if isinstance(told, dict) else told))
                assert all(math.isfinite(one) and abs(one) <= 2**53 for one in found), found

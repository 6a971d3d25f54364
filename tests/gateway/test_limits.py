"""What a limited caller is told through the API, and what counts."""

import asyncio
import hashlib
import json
from contextlib import suppress
from typing import Any

import pytest

from eventually import eventually
from gateways import Door, door
from providers.replay import Exchange, Handler, Write, reply, stream
from vedette.settings import CallerKey

CHAT = ("POST", "/v1/chat/completions")
RIGHT = {"Authorization": "Bearer right"}
MESSAGE = {"index": 0, "message": {"role": "assistant", "content": "x" * 40}, "finish_reason": "stop"}
DELTA = {"choices": [{"index": 0, "delta": {"content": "x" * 40}, "finish_reason": None}]}
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def team(**limits: Any) -> dict[str, CallerKey]:
    return {"team": CallerKey(sha256=hashlib.sha256(b"right").hexdigest(), **limits)}


def streamed(*events: dict[str, Any]) -> Handler:
    return stream(*(f"data: {json.dumps(event)}\n" for event in events), "data: [DONE]\n")


async def tokens(gate: Door) -> int:
    """Return what has been counted of the caller, when its call has ended."""

    async def ask() -> bool:
        return bool(gate.reports.calls)

    await eventually(ask)
    return gate.usage.of("team").tokens


async def test_each_reply_says_what_is_left() -> None:
    async with door(keys=team(requests_per_day=2, tokens_per_day=100)) as gate:
        gate.servers[0].routes[CHAT] = reply(200, {"choices": [MESSAGE], **USAGE})
        told = [(await gate.chat(headers=RIGHT)).headers for _ in range(3)]
        assert [one["x-ratelimit-remaining-requests"] for one in told] == ["1", "0", "0"]
        assert [one["x-ratelimit-remaining-tokens"] for one in told] == ["100", "90", "80"]
        assert int(told[-1]["retry-after"]) <= 86_400
        assert told[-1]["x-ratelimit-limit-tokens"] == "100"


async def test_requests_at_once_do_not_exceed_the_budget() -> None:
    """The last one is reserved while it has no reply; the other may come again soon, not only tomorrow."""
    async with door(keys=team(requests_per_day=1, tokens_per_day=100)) as gate:
        release, arrived = asyncio.Event(), asyncio.Event()

        async def waits(exchange: Exchange, write: Write) -> None:
            arrived.set()
            await release.wait()
            await reply(200, {"choices": [MESSAGE]})(exchange, write)

        gate.servers[0].routes[CHAT] = waits
        first = asyncio.create_task(gate.chat(headers=RIGHT))
        async with asyncio.timeout(60):
            await arrived.wait()
        refused = await gate.chat(headers=RIGHT)
        release.set()
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert refused.headers["retry-after"] == "1"
        assert (await first).status_code == 200
        assert (await gate.chat(headers=RIGHT)).json()["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize("failure", [reply(500, "oops"), reply(400, {"error": "no"})])
async def test_a_request_that_reached_no_model_does_not_count(failure: Handler) -> None:
    async with door(keys=team(requests_per_day=1, tokens_per_day=100)) as gate:
        gate.servers[0].routes[CHAT] = failure
        for _ in range(3):
            response = await gate.chat(headers=RIGHT)
            assert response.status_code in (400, 502)
            assert response.headers["x-ratelimit-remaining-requests"] == "1"
        gate.servers[0].routes[CHAT] = reply(200, {"choices": [MESSAGE]})
        assert (await gate.chat(headers=RIGHT)).status_code == 200
        assert (await gate.chat(headers=RIGHT)).json()["error"]["code"] == "insufficient_quota"


COUNTED = {
    "a reply": (reply(200, {"choices": [MESSAGE], **USAGE}), 10),
    "a reply without usage": (reply(200, {"choices": [MESSAGE]}), 110),
    "a stream": (streamed(DELTA, END, {"choices": [], **USAGE}), 10),
    "a stream without usage": (streamed(DELTA, END), 110),
    "a reply whose usage cannot be": (
        reply(200, {"choices": [MESSAGE], "usage": {"prompt_tokens": 7, "completion_tokens": 10**9}}),
        262_144 + 7,
    ),
}


@pytest.mark.parametrize("what", COUNTED)
async def test_tokens_count_as_told_or_else_as_estimated(what: str) -> None:
    """By four characters a token: 400 of the prompt and 40 of the answer, and the names of the fields."""
    handler, expected = COUNTED[what]
    async with door(keys=team()) as gate:
        gate.servers[0].routes[CHAT] = handler
        messages = [{"role": "user", "content": "y" * 400}]
        await gate.chat(headers=RIGHT, messages=messages, stream="stream" in what)
        assert expected <= await tokens(gate) <= expected + (12 if "without" in what else 0)


async def test_a_limited_minute_says_when_it_is_over() -> None:
    async with door(keys=team(requests_per_minute=2)) as gate:
        gate.servers[0].routes[CHAT] = reply(200, {"choices": [MESSAGE]})
        responses = [await gate.chat(headers=RIGHT) for _ in range(2)]
        assert [one.headers["x-ratelimit-remaining-requests"] for one in responses] == ["1", "0"]
        over = await gate.chat(headers=RIGHT)
        assert (over.status_code, over.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 1 <= int(over.headers["retry-after"]) <= 30


WRONG: dict[str, Any] = {
    "none": {},
    "empty": {"Authorization": "Bearer"},
    "10 kB": {"Authorization": f"Bearer {'x' * 10_000}"},
    "no ASCII": {"Authorization": b"Bearer \xff\xfe\x80"},
    "two": [("Authorization", "Bearer wrong"), ("Authorization", "Bearer right")],
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_strange_key_is_refused_and_the_right_one_is_not(what: str) -> None:
    async with door(keys=team()) as gate:
        gate.servers[0].routes[CHAT] = reply(200, {"choices": [MESSAGE]})
        for _ in range(20):
            response = await gate.client.post(
                "/v1/chat/completions", json={"model": "vedette/chat", "messages": []}, headers=WRONG[what]
            )
            assert response.status_code in (400, 401, 429, 431)
        assert not gate.servers[0].requests
        assert (await gate.chat(headers=RIGHT)).status_code == 200


async def test_a_caller_who_does_not_read_is_cut_off() -> None:
    """It held the only room at the endpoint, which the next caller gets."""

    async def floods(_: Exchange, write: Write) -> None:
        await write(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            await write(b"data: " + b"x" * 60_000 + b"\n\n")

    async with door(at_once=1, stall_s=0.5, queue_s=60.0, head_s=3.0) as gate:
        gate.servers[0].routes["POST", "/v1/completions"] = floods
        gate.servers[0].routes[CHAT] = reply(200, {"choices": [MESSAGE]})
        port = int(gate.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        body = b'{"model": "vedette/chat", "prompt": "hi", "stream": true}'
        writer.write(
            b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        await reader.readexactly(12)
        assert (await gate.chat()).status_code == 200
        with suppress(ConnectionError):
            while left := await reader.read(1 << 16):
                assert not left.endswith(b"0\r\n\r\n")
        writer.close()

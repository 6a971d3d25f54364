"""Calls through the gateway: bytes as they come, fallbacks before the first byte, errors after it."""

import asyncio
import gc
import hashlib
import json

import httpx
import pytest
from structlog.testing import capture_logs

from eventually import eventually
from gateways import KEY, MESSAGES, door, settled
from providers.replay import Exchange, Write, hang, reply, stream
from vedette.providers.passing import Refusal
from vedette.settings import CallerKey
from vedette.types import Capability, ModelRef, Outcome
from vedette_gateway.calling import Attempt, problem_of
from vedette_gateway.upstreams import Aside

CHAT = ("POST", "/v1/chat/completions")
ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]
}
USAGE = {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def event(text: str | None, **more: object) -> str:
    delta = {} if text is None else {"content": text}
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, **more}]})}\n"


EVENTS = (event("a"), event("b"), event(None, finish_reason="stop"), "data: [DONE]\n")
KEPT_ALIVE = ("data: ping\n", "data: \n", *EVENTS)


async def test_a_reply_is_passed_on_byte_for_byte() -> None:
    async with door() as gate:
        body = json.dumps(ANSWER | USAGE, indent=3).encode()
        gate.servers[0].routes[CHAT] = reply(200, body, Content_Type="application/json")
        response = await gate.chat()
        assert response.content == body
        assert response.headers["x-vedette-model"] == "a/m"
        assert response.headers["x-vedette-attempts"] == "1"
        (sent,) = gate.servers[0].requests
        assert sent.body == {"model": "m", "messages": MESSAGES}
        assert sent.headers["x-api-key"] == KEY
        (call,) = gate.reports.calls
        assert call.outcome is Outcome.OK
        assert call.account().output_tokens == 3
        assert gate.usage.of("anybody").tokens == 10


async def test_a_stream_is_passed_on_byte_for_byte() -> None:
    async with door() as gate:
        gate.servers[0].routes[CHAT] = stream(*KEPT_ALIVE)
        response = await gate.chat(stream=True)
        assert response.content.decode() == "".join(f"{one}\n" for one in KEPT_ALIVE)
        account = gate.reports.calls[0].account()
        assert account.whole
        assert account.first_at is not None
        assert account.characters == 2


FAILURES = {
    "429": (reply(429, {"error": "slow down"}, Retry_After="7"), Outcome.RATE_LIMITED),
    "500": (reply(500, "oops"), Outcome.SERVER_ERROR),
    "503": (reply(503, {"error": {"message": "Loading model"}}), Outcome.LOADING),
    "401": (reply(401, {"error": {"message": f"wrong key {KEY}"}}), Outcome.AUTH_FAILED),
    "404": (reply(404, "404 page not found"), Outcome.NOT_FOUND),
    "redirects": (reply(302, Location="http://127.0.0.1:1/"), Outcome.GARBAGE),
    "empty": (reply(200, b""), Outcome.INCOMPLETE),
    "an error as an answer": (reply(200, {"error": {"message": "no slot"}}), Outcome.SERVER_ERROR),
    "an error as the first event": (
        stream('data: {"error": {"message": "no slot", "code": 503}}\n'),
        Outcome.BUSY,
    ),
    "plain words as an event": (stream("data: Number of choices must be 1.\n"), Outcome.GARBAGE),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.fault("a model fails before its first byte, behind the gateway", "I6", "I8")
async def test_what_fails_before_its_first_byte_is_not_noticed(failure: str) -> None:
    """The next model replies, the caller sees its answer alone, and both calls are reported."""
    bad, outcome = FAILURES[failure]
    async with door(servers=2) as gate:
        gate.servers[0].routes[CHAT] = bad
        gate.servers[1].routes[CHAT] = reply(200, ANSWER, Content_Type="application/json")
        response = await gate.chat(stream=failure.endswith("event"))
        assert response.status_code == 200
        assert response.json() == ANSWER
        assert response.headers["x-vedette-failed"] == f"a/m {outcome}"
        assert [one.outcome for one in gate.reports.failures] == [outcome]
        assert KEY not in str(response.headers) + response.text + str(gate.reports.failures)
        # A moment later it comes after the others, unless it was the request.
        await gate.chat()
        assert len(gate.servers[0].requests) == 1


@pytest.mark.fault("a model fails before its first byte, behind the gateway", "I6", "I8")
async def test_a_model_that_hangs_is_left_for_the_next() -> None:
    """Which, as the last one, has as long as a whole reply may take."""
    async with door(servers=2, first_byte_s=0.3) as gate:
        gate.servers[0].routes[CHAT] = hang
        gate.servers[1].routes[CHAT] = reply(200, ANSWER, Content_Type="application/json")
        response = await gate.chat()
        assert response.json() == ANSWER
        assert response.headers["x-vedette-failed"] == "a/m timeout"
        assert [one.outcome for one in gate.reports.failures] == [Outcome.TIMEOUT]


async def test_a_server_that_is_not_there_is_not_noticed() -> None:
    async with door(servers=2) as gate:
        gate.ranking.urls["a"] = "http://127.0.0.1:1"
        gate.servers[1].routes[CHAT] = reply(200, ANSWER, Content_Type="application/json")
        response = await gate.chat()
        # Its address is not the one that is configured: no credential goes there, and it is no candidate.
        assert response.headers["x-vedette-attempts"] == "1"
        assert response.json() == ANSWER


@pytest.mark.fault("a model breaks off in the middle of a stream, behind the gateway", "I6")
async def test_a_stream_that_breaks_off_ends_with_an_error() -> None:
    async with door(servers=2) as gate:
        gate.servers[0].routes[CHAT] = stream(*EVENTS[:2], whole=False)
        response = await gate.chat(stream=True)
        *_, last = [one for one in response.text.split("\n\n") if one]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "incomplete"
        assert not gate.servers[1].requests  # the caller has had a part of it
        gate.servers[1].routes[CHAT] = reply(200, ANSWER)
        assert (await gate.chat()).headers["x-vedette-model"] == "b/m"  # the next request goes elsewhere
        assert gate.reports.calls[0].outcome is Outcome.INCOMPLETE


async def test_a_stream_that_ends_early_is_no_silent_end() -> None:
    """The connection ends as it should, and the answer does not."""
    async with door() as gate:
        gate.servers[0].routes[CHAT] = stream(*EVENTS[:2])
        response = await gate.chat(stream=True)
        assert '"code":"incomplete"' in response.text


@pytest.mark.parametrize("end", [[], ["data: [DONE]\n"]])
async def test_a_stream_of_another_protocol_is_no_silent_end(end: list[str]) -> None:
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
    counted = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
    async with door() as gate:
        gate.servers[0].routes[CHAT] = stream(
            *(f"data: {json.dumps(one)}\n" for one in (said, counted)), *end
        )
        response = await gate.chat(stream=True)
        assert '"code":"incomplete"' in response.text
        assert gate.reports.calls[0].outcome is Outcome.INCOMPLETE


async def test_a_stream_that_stalls_is_ended() -> None:
    async def stalls(_: Exchange, write: Write) -> None:
        data = f"{EVENTS[0]}\n".encode()
        await write(
            b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await write(f"{len(data):X}\r\n".encode() + data + b"\r\n")
        await asyncio.Event().wait()

    async with door(stall_s=0.3) as gate:
        gate.servers[0].routes[CHAT] = stalls
        response = await gate.chat(stream=True)
        assert '"code":"timeout"' in response.text


def failure(outcome: Outcome, status: int | None = None) -> Attempt:
    refusal = None
    if status is not None:
        refusal = Refusal(status=status, body=b"", media_type="", outcome=outcome, said="no")
    return Attempt(model=ModelRef("a", "m"), outcome=outcome, refusal=refusal)


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ([failure(Outcome.BAD_REQUEST, 422)], (422, "refused_by_model")),
        ([failure(Outcome.UNSUPPORTED, 501)], (400, "refused_by_model")),
        ([failure(Outcome.UNSUPPORTED, 500), failure(Outcome.NOT_FOUND, 404)], (400, "refused_by_model")),
        ([failure(Outcome.NOT_FOUND, 404)], (404, "not_found_by_model")),
        ([failure(Outcome.NOT_FOUND, 404), failure(Outcome.SERVER_ERROR, 500)], (502, "all_failed")),
        ([failure(Outcome.AUTH_FAILED, 401), failure(Outcome.NO_CREDIT, 402)], (424, "endpoint_refuses_key")),
        ([failure(Outcome.AUTH_FAILED, 401), failure(Outcome.REFUSED)], (502, "all_failed")),
        ([failure(Outcome.BUSY, 503)], (429, "all_busy")),
        ([failure(Outcome.TIMEOUT)], (504, "all_timed_out")),
        ([], (503, "no_model")),
    ],
)
def test_only_what_may_pass_has_a_status_after_which_clients_ask_again(
    failed: list[Attempt], expected: tuple[int, str]
) -> None:
    """The clients of OpenAI, Vercel's and LiteLLM do after 408, 409, 429 and from 500 on."""
    problem = problem_of(failed)
    assert (problem.status, problem.code) == expected


async def test_a_wrong_request_is_not_tried_everywhere() -> None:
    async with door(servers=4) as gate:
        for server in gate.servers:
            server.routes[CHAT] = reply(400, {"error": {"message": "temperature is too high"}})
        response = await gate.chat()
        assert response.status_code == 400
        assert "temperature is too high" in response.json()["error"]["message"]
        assert sum(len(server.requests) for server in gate.servers) == 2


async def test_models_that_may_lack_an_ability_are_all_tried() -> None:
    """Ollama and vLLM refuse tools with 400: that says nothing of the request."""
    async with door(servers=4) as gate:
        gate.ranking.unknown = (Capability.TOOLS,)
        for server in gate.servers:
            server.routes[CHAT] = reply(400, {"error": {"message": "m does not support tools"}})
        gate.servers[3].routes[CHAT] = reply(200, ANSWER)
        response = await gate.chat()
        assert response.headers["x-vedette-model"] == "d/m"
        assert "whether it has tools is unknown" in response.headers["x-vedette-reason"]


async def test_when_endpoints_refuse_our_key_the_caller_learns_where_and_what_to_do() -> None:
    async with door() as gate:
        gate.servers[0].routes[CHAT] = reply(401, {"error": {"message": "Incorrect API key provided"}})
        response = await gate.chat()
        assert response.status_code == 424
        told = response.json()["error"]["message"]
        assert "a/m: auth failed (HTTP 401: Incorrect API key provided)" in told
        assert "set a valid key" in told


async def test_when_all_fail_the_caller_learns_how() -> None:
    async with door(servers=2) as gate:
        gate.servers[0].routes[CHAT] = reply(500, "oops")
        gate.servers[1].routes[CHAT] = reply(401, {"error": {"message": f"wrong key {KEY}"}})
        response = await gate.chat()
        assert response.status_code == 502
        told = response.json()["error"]
        assert told["code"] == "all_failed"
        assert "a/m: server error" in told["message"]
        assert "b/m: auth failed" in told["message"]
        assert KEY not in response.text


async def test_when_all_are_busy_the_caller_learns_when() -> None:
    async with door() as gate:
        gate.servers[0].routes[CHAT] = reply(429, {"error": "slow down"}, Retry_After="7")
        response = await gate.chat()
        assert response.status_code == 429
        assert response.headers["retry-after"] == "7"


@pytest.mark.fault("the caller of a gateway leaves", "I6")
async def test_a_caller_that_leaves_ends_the_call() -> None:
    """The connection to the server is closed, before the first byte and after it."""
    ended = asyncio.Event()

    async def endless(_: Exchange, write: Write) -> None:
        try:
            await stream(*EVENTS[:1] * 1_000_000, pace_s=0.01)(_, write)
        finally:
            ended.set()

    async with door() as gate:
        gate.servers[0].routes[CHAT] = endless
        body = {"model": "vedette/chat", "messages": MESSAGES, "stream": True}
        async with gate.client.stream("POST", "/v1/chat/completions", json=body) as response:
            async for _ in response.aiter_raw():
                break
        async with asyncio.timeout(30):
            await ended.wait()
        await settled()
        assert not [call for call in gate.reports.calls if call.outcome]  # it says nothing of the model


async def test_room_is_waited_for_and_then_refused() -> None:
    async with door(at_once=1, queue_s=0.2) as gate:
        gate.servers[0].routes[CHAT] = hang
        first = asyncio.create_task(gate.chat())

        async def called() -> bool:
            return bool(gate.servers[0].requests)

        await eventually(called)
        response = await gate.chat()
        assert response.status_code == 429
        assert not gate.reports.failures  # it says nothing of the model
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize(
    ("equal", "session", "called"), [(True, None, "b"), (True, "s", "a"), (False, None, "a")]
)
async def test_of_equals_the_idler_one_is_called(equal: bool, session: str | None, called: str) -> None:
    """But a conversation stays with its model, and a better model is not left for a worse one."""
    async with door(servers=2) as gate:
        gate.ranking.equal = equal
        gate.servers[0].routes[CHAT] = hang
        busy = asyncio.create_task(gate.chat())

        async def at_work() -> bool:
            return bool(gate.servers[0].requests)

        await eventually(at_work)
        gate.servers[0].routes[CHAT] = gate.servers[1].routes[CHAT] = reply(200, ANSWER)
        response = await gate.chat(headers={"X-Vedette-Session": session} if session else None)
        assert response.headers["x-vedette-model"] == f"{called}/m"
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


async def test_without_the_right_key_nothing_is_called() -> None:
    key = CallerKey(sha256=hashlib.sha256(b"right").hexdigest(), use_cases=("chat",), requests_per_day=1)
    async with door(keys={"team": key}) as gate:
        gate.servers[0].routes[CHAT] = reply(200, ANSWER)
        assert (await gate.chat()).status_code == 401
        assert (await gate.chat(headers={"Authorization": "Bearer wrong"})).status_code == 401
        assert not gate.servers[0].requests
        right = {"Authorization": "Bearer right"}
        assert (await gate.chat(headers=right)).status_code == 200
        over = await gate.chat(headers=right)
        assert over.status_code == 429
        assert over.json()["error"]["code"] == "insufficient_quota"


async def test_a_page_of_another_site_cannot_call() -> None:
    async with door() as gate:
        assert (await gate.chat(headers={"Origin": "http://evil.example"})).status_code == 403
        assert (await gate.chat(headers={"Host": "evil.example"})).status_code == 421
        assert not gate.servers[0].requests


async def test_a_large_body_is_refused() -> None:
    async with door(max_body_bytes=2048) as gate:
        assert (await gate.chat(user="x" * 4096)).status_code == 413


@pytest.mark.parametrize("path", ["/", "/chat/completions", "/v1/unknown"])
async def test_a_wrong_path_names_the_base_url(path: str) -> None:
    async with door() as gate, httpx.AsyncClient(base_url=gate.url) as client:
        response = await client.post(path, json={})
        assert response.status_code == 404
        assert f"{gate.url}/v1" in response.json()["error"]["message"]


@pytest.mark.fault("the gateway stops while a stream is open", "I4", "I11")
async def test_a_stream_that_is_open_when_the_gateway_stops_ends_with_an_error_event() -> None:
    async with door() as gate:
        gate.servers[0].routes[CHAT] = stream(*EVENTS[:1] * 10_000, pace_s=0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gate.url.rpartition(":")[2]))
        body = json.dumps({"model": "vedette/chat", "messages": MESSAGES, "stream": True}).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        await reader.readuntil(b"data:")
    async with asyncio.timeout(60):
        left = await reader.read()
    assert b'"stopping"' in left
    assert left.endswith(b"0\r\n\r\n")
    writer.close()


async def test_a_bug_is_logged_and_an_error_of_openais_form() -> None:
    with capture_logs() as logs:
        async with door() as gate:
            gate.ranking.urls = None  # type: ignore[assignment]
            response = await gate.chat()
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    (failed,) = (line for line in logs if line["event"] == "request.failed")
    assert (failed["log_level"], failed["path"]) == ("error", CHAT[1])
    assert isinstance(failed["exc_info"], AttributeError)


def test_names_that_callers_invent_do_not_pile_up() -> None:
    aside = Aside(monotonic=lambda: 0.0)
    invented = [ModelRef("a", f"m{number}") for number in range(2000)]
    for model in invented:
        aside.failed(model, Outcome.NOT_FOUND)
    assert 0 < sum(map(aside.is_aside, invented)) <= 1000
    assert aside.is_aside(invented[-1])


def test_names_that_callers_invent_put_no_endpoint_back() -> None:
    aside = Aside(monotonic=lambda: 0.0)
    aside.failed(ModelRef("down", "m"), Outcome.REFUSED)
    for number in range(2000):
        aside.failed(ModelRef("a", f"m{number}"), Outcome.NOT_FOUND)
    assert aside.is_aside(ModelRef("down", "another"))


async def test_a_request_leaves_nothing_for_the_garbage_collector() -> None:
    """What it leaves would stay, body and all, until some tens of thousands of objects have piled up."""
    async with door() as gate:
        gate.servers[0].routes[CHAT] = reply(200, ANSWER, Content_Type="application/json")
        await gate.chat()
        gc.collect()
        gc.disable()
        try:
            for model in ("vedette/chat", ""):
                await gate.chat(model=model)
            await settled()
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [one for one in gc.garbage if type(one).__module__.startswith("vedette_gateway")]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert not left

"""The client as agents use it, with an agent's credentials, against a recommender on a real nats-server."""

import asyncio
import inspect
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import nats
import nats.js.errors
import openai
import pytest

import vedette_recommender.app as recommender
from eventually import eventually, until_ready
from providers.replay import replaying, reply
from samples import lifecycle_event, model_info, probe_event
from vedette import Client, SyncClient, calls
from vedette.bus.bus import Bus
from vedette.client import ask_encoded
from vedette.client.fallback import NO_KEY, Call
from vedette.client.model_feed import Followed
from vedette.errors import NoAnswer, NoCandidate, RequestError
from vedette.messages.codec import decode_event, encode
from vedette.messages.events import ModelReported
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.service import open_service
from vedette.settings import Nats, Settings
from vedette.types import Claim, Evidence, ModelRef, Outcome

A, B = ModelRef("dead", "a"), ModelRef("alive", "b")
CHAT = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "b",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Blue."}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
}


@pytest.fixture
async def agent(bus: Bus, server: NatsServer, settings: Settings) -> AsyncIterator[Client]:
    """Yield a client beside a recommender that knows no model yet."""
    async with recommender.serve(settings), Client(server.url("agent"), timeout_s=60) as client:
        yield client


async def found(bus: Bus, model: ModelRef, *, url: str = "http://127.0.0.1:1", **facts: Any) -> None:
    """Have *model* found, and found up."""
    now = datetime.now(UTC)
    info = model_info(model, url=url, provider="openai-compatible", capabilities=CHAT, **facts)
    event = lifecycle_event("found", model, at=now, info=info)
    probed = probe_event(model, at=now, job_id=f"p-{model}")
    for one in (event, probed):
        await bus.js.publish(one.subject, encode(one))


async def until_known(client: Client, number: int) -> None:
    """Return when the recommender knows so many models."""

    async def known() -> bool:
        return (await client.models()).total == number

    await eventually(known, what=f"{number} models")


async def test_a_query_over_a_closed_connection_has_the_error_that_is_promised(server: NatsServer) -> None:
    connection = await nats.connect(server.url("agent"))
    await connection.close()
    with pytest.raises(NoAnswer, match=r"recommend\.best was not sent: .*closed"):
        await ask_encoded(connection, "recommend.best", b"{}", timeout_s=60)


async def test_more_models_than_a_message_holds(bus: Bus, agent: Client) -> None:
    """All are told, in the order of their names; or so many, from where one likes."""
    names = [f"{n:04}" for n in range(1100)]
    now = datetime.now(UTC)
    for name in names:
        model = ModelRef("box", name)
        info = model_info(model, license="L" * 800, capabilities=CHAT)
        event = lifecycle_event("found", model, at=now, info=info)
        await bus.js.publish_async(event.subject, encode(event))
    await until_known(agent, len(names))
    told = await agent.models()
    assert [view.model.name for view in told.models] == names
    assert told.total == len(names)
    for offset, limit in ((0, 1050), (300, 700), (1090, None), (1090, 20), (1200, None)):
        some = await agent.models(offset=offset, limit=limit)
        assert [view.model.name for view in some.models] == names[offset:][:limit]
        assert some.total == len(names)
    async with aclosing(agent.follow_models()) as following:
        assert [(await anext(following)).model.name for _ in names] == names


# --- Calling ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def answering(status: int = 200, body: object = COMPLETION) -> AsyncIterator[str]:
    """Serve chat completions; yield the URL."""
    async with replaying() as replay:
        replay.routes["POST", "/v1/chat/completions"] = reply(
            status, body, Content_Type="application/json", Connection="close"
        )
        yield replay.url


async def reported(bus: Bus, model: ModelRef) -> ModelReported:
    """Return what was reported of *model*."""
    subject = f"report.{model.endpoint}.{model.name}"

    async def last() -> ModelReported | None:
        try:
            message = await bus.js.get_last_msg("REPORTS", subject)
        except nats.js.errors.NotFoundError:
            return None
        event = decode_event(subject, message.data or b"")
        assert isinstance(event, ModelReported)
        return event

    return await eventually(last, what=f"a report of {model}")


async def ask(call: Call) -> str:
    """Return what the model says, by the official client."""
    answer = await call.openai().chat.completions.create(
        model=call.name, messages=[{"role": "user", "content": "?"}]
    )
    call.used(answer.usage)
    return str(answer.choices[0].message.content)


async def called(agent: Client, ask: Callable[[Call], Awaitable[str]], **wanted: Any) -> list[str]:
    """Call whom `calls` names until it goes well; return what was said."""
    said = []
    async for call in calls(agent, "chat", **wanted):
        async with call:
            said.append(await ask(call))
    return said


@pytest.mark.fault("the recommended model is dead when called", "I4")
async def test_a_dead_first_choice_is_reported_and_the_next_one_called(
    bus: Bus, server: NatsServer, settings: Settings
) -> None:
    """What it counted the recommender publishes at its end, else every ten seconds."""
    async with (
        answering() as url,
        recommender.serve(settings),
        Client(server.url("agent"), timeout_s=60) as agent,
    ):
        await found(bus, A, parameters=70_000_000_000)
        await found(bus, B, url=url, parameters=1_000_000)
        await until_known(agent, 2)
        said, tried = [], []
        async for call in calls(agent, "chat", caller="test"):
            tried.append(call.model)
            async with call:
                said.append(await ask(call))
    assert tried == [A, B]
    assert said == ["Blue."]
    failed, done = await reported(bus, A), await reported(bus, B)
    assert failed.failures == {Outcome.UNREACHABLE: 1}
    assert (done.calls, done.failures, done.use_cases) == (1, {}, {"chat": 1})
    assert (done.prompt_tokens, done.output_tokens) == (7, 2)


async def test_the_last_choice_s_error_is_raised(bus: Bus, agent: Client) -> None:
    async with answering(500, {"error": {"message": "no"}}) as url:
        await found(bus, A)
        await found(bus, B, url=url)
        await until_known(agent, 2)
        with pytest.raises(openai.APIError):
            await called(agent, ask)


@pytest.mark.parametrize(
    "bug", [ZeroDivisionError(), FileNotFoundError(2, "gone"), json.JSONDecodeError("", "", 0)]
)
@pytest.mark.fault(
    "an agent's own code fails while it calls a model",
    "I13",
    without=("vedette.client.fallback:outcome_of", lambda *_: Outcome.UNREACHABLE),
)
async def test_a_bug_is_raised_at_once_and_reported_of_nobody(
    bus: Bus, agent: Client, bug: Exception
) -> None:
    """No other model is tried for it."""
    await found(bus, A)
    await found(bus, B)
    await until_known(agent, 2)
    tried = []

    async def mistaken(call: Call) -> str:
        tried.append(call)
        raise bug

    with pytest.raises(type(bug)):
        await called(agent, mistaken)
    assert [call.outcome for call in tried] == [None]


async def test_nobody_to_call_says_what_to_do(bus: Bus, agent: Client) -> None:
    await found(bus, B, parameters=1_000_000)
    await until_known(agent, 1)
    with pytest.raises(NoCandidate, match=r"relax constraints\.min_parameters"):
        await called(agent, ask, min_parameters=10**12)


def test_the_key_is_read_where_the_recommendation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    one: Any = msgspec.defstruct("One", [("key_ref", str | None), ("model", ModelRef)])
    monkeypatch.setenv("SOME_KEY", "secret")
    call: Callable[[str | None], Call] = lambda ref: Call(Client(), one(ref, A), use_case="chat")  # noqa: E731
    assert call("env:SOME_KEY").api_key == "secret"
    assert call(None).api_key == NO_KEY


# --- Following -------------------------------------------------------------------------------------------------


async def take(following: AsyncIterator[Followed], number: int) -> list[tuple[str, bool]]:
    """Return the next *number*: which model, and whether it is there."""
    async with asyncio.timeout(60):
        taken = [await anext(following) for _ in range(number)]
    return [(str(one.model), one.info is not None) for one in taken]


async def test_models_are_followed_without_a_gap(bus: Bus, agent: Client, server: NatsServer) -> None:
    """What is there, what comes, what goes, once each; and what went while the broker was away."""
    await found(bus, A)
    await until_known(agent, 1)
    async with aclosing(agent.follow_models()) as following:  # type: ignore[type-var]
        assert await take(following, 1) == [("dead/a", True)]
        await found(bus, B)
        assert await take(following, 1) == [("alive/b", True)]
        gone = lifecycle_event("lost", A, at=datetime.now(UTC) + timedelta(seconds=1), revision=2)
        await bus.js.publish(gone.subject, encode(gone))
        assert await take(following, 1) == [("dead/a", False)]

        next_one = asyncio.create_task(take(following, 1))
        assert agent._connection is not None
        await agent._connection._process_op_err(OSError("broken"))  # as when the socket breaks
        back = lifecycle_event("found", A, at=datetime.now(UTC) + timedelta(seconds=2), revision=3)
        await bus.js.publish(back.subject, encode(back))
        assert await next_one == [("dead/a", True)]


# --- Without an event loop -------------------------------------------------------------------------------------


def test_the_two_clients_have_the_same_methods() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if name.startswith("_"):
            continue
        other = getattr(SyncClient, name)
        assert inspect.signature(other) == inspect.signature(method) or name in {
            "watch",
            "follow_models",
            "close",
        }
    assert (
        inspect.signature(SyncClient.__init__).parameters.keys()
        == inspect.signature(Client.__init__).parameters.keys()
    )


async def test_it_waits_in_threads_and_where_a_loop_runs(bus: Bus, agent: Client, server: NatsServer) -> None:
    await found(bus, B)
    await until_known(agent, 1)
    client = SyncClient(server.url("agent"), timeout_s=60)

    def best() -> str:
        recommended = client.best("chat").recommendation
        assert recommended is not None
        return str(recommended.model)

    answers = await asyncio.gather(*(asyncio.to_thread(best) for _ in range(8)))
    assert set(answers) == {"alive/b"}
    with pytest.raises(RequestError, match="unknown use case"):
        await asyncio.to_thread(client.best, "chatt")
    followed = client.follow_models()
    assert str((await asyncio.to_thread(next, followed)).model) == "alive/b"
    await asyncio.to_thread(followed.close)  # type: ignore[attr-defined]
    await asyncio.to_thread(client.close)
    client.close()
    assert "vedette-client" not in {thread.name for thread in threading.enumerate()}


async def test_one_of_several_servers_is_enough(server: NatsServer, settings: Settings) -> None:
    """Clients and services of a cluster connect while its first server is away."""
    away = "nats://127.0.0.1:1"
    both = f"{away},{server.url('operator')}"
    async with open_service("test", msgspec.structs.replace(settings, nats=Nats(url=both))) as service:
        await service.start()
        await until_ready(service)
    async with Client(f"{away},{server.url('agent')}", timeout_s=60) as client:
        assert client is not None

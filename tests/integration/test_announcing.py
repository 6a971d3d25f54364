"""Several recommenders on a real nats-server: a changed answer is announced, once, and nothing else is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count

import msgspec
import pytest
from nats.js.errors import NotFoundError

from eventually import eventually, until_ready
from samples import benchmark_event, lifecycle_event, model_info, probe_event, winner_event
from vedette import Client
from vedette.bus.bus import Bus
from vedette.client.subscription import Watching
from vedette.messages.catalogue import Versioned
from vedette.messages.codec import decode_event
from vedette.messages.events import AnswerChanged, AsOf, ModelEvent
from vedette.runtime import process
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.service import Service
from vedette.settings import EndpointSettings, Settings
from vedette.types import Claim, Evidence, ModelRef
from vedette_recommender.announcing import Announcing
from vedette_recommender.winner_status import WinnerStatus

A, B = ModelRef("box", "a"), ModelRef("gpu", "b")
OTHERS = [ModelRef("box", f"other-{number}") for number in range(20)]
REPLICAS = 3
numbers = count(1)


async def publish(bus: Bus, event: ModelEvent) -> None:
    """Put *event* on its subject, whatever is there."""
    await bus.publisher.advance("MODELS", event.subject, lambda _: event)


async def found(bus: Bus, model: ModelRef) -> None:
    """Have *model* found and probed now."""
    chat = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}
    info = model_info(model, capabilities=chat, locality="local", native_context_tokens=32_768)
    await publish(bus, lifecycle_event("found", model, at=datetime.now(UTC), info=info))
    await publish(bus, probe_event(model, at=datetime.now(UTC), job_id="p"))


async def measured(bus: Bus, model: ModelRef, tps: float) -> None:
    """Have *model* benchmarked now."""
    await publish(bus, benchmark_event(model, at=datetime.now(UTC), tps=tps))


async def lost(bus: Bus, model: ModelRef) -> None:
    """Have *model* lost now."""
    await publish(bus, lifecycle_event("lost", model, at=datetime.now(UTC), revision=next(numbers) + 1))


@pytest.fixture
def chosen(settings: Settings) -> Settings:
    """Return settings of a recommender with two endpoints."""
    endpoints = {name: EndpointSettings(url=f"http://{name}:1") for name in ("box", "gpu")}
    return msgspec.structs.replace(settings, endpoints=endpoints)


@asynccontextmanager
async def recommenders(chosen: Settings, number: int = REPLICAS) -> AsyncIterator[list[Service]]:
    """Run so many recommenders; yield them."""
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(process.run(chosen, ["recommender"])) for _ in range(number)
        ]
        yield [service for one in running for service in one.services]


@asynccontextmanager
async def agent(server: NatsServer) -> AsyncIterator[Watching]:
    """Yield what an agent hears of changed answers for chat, with an agent's credentials."""
    async with Client(server.url("agent"), timeout_s=60) as client, client.watch(use_cases=["chat"]) as heard:
        yield heard


async def following(heard: Watching) -> AnswerChanged:
    """Return the next changed answer that is *heard*."""
    async with asyncio.timeout(60):
        event = await anext(heard)
    assert isinstance(event, AnswerChanged)
    return event


async def announced(bus: Bus, total: int) -> list[AnswerChanged]:
    """Return what was announced for chat, once there are *total*."""

    async def ask() -> list[AnswerChanged]:
        events, sequence = [], 1
        with suppress(NotFoundError):  # past the last one
            while True:
                raw = await bus.js.get_msg("ANSWERS", seq=sequence, subject="answer.chat", next=True)
                event = decode_event(raw.subject or "", raw.data or b"")
                assert isinstance(event, AnswerChanged)
                events.append(event)
                sequence = (raw.seq or sequence) + 1
        return events if len(events) >= total else []

    return await eventually(ask, what=f"{total} announcements")


def story(events: list[AnswerChanged]) -> list[tuple[str, ModelRef | None, ModelRef | None]]:
    """Return reason, winner and predecessor of each of *events*."""
    return [(event.reason, event.model, event.before) for event in events]


async def test_replicas_announce_each_change_once_and_agents_hear_it(
    bus: Bus, server: NatsServer, chosen: Settings
) -> None:
    """Three of them: the first, a better one, one that is gone; each once, in the stream and to an agent."""
    await found(bus, A)
    await measured(bus, A, 40.0)
    async with recommenders(chosen), agent(server) as heard:
        assert (await announced(bus, 1))[0].model == A
        await found(bus, B)
        await measured(bus, B, 38.0)  # a near equal
        await measured(bus, A, 41.0)
        await measured(bus, B, 4000.0)
        better = await following(heard)
        assert better.margin is not None
        assert better.margin >= 2.0
        assert "points ahead of box/a" in better.detail
        await lost(bus, B)
        gone = await following(heard)
        assert "gpu/b is not a candidate any more: it is lost" in gone.detail
        await lost(bus, A)
        none = await following(heard)
        assert story([better, gone, none]) == [
            ("better", B, A),
            ("gone", A, B),
            ("none", None, A),
        ]
        events = await announced(bus, 4)
    assert story(events) == [("first", A, None), *story([better, gone, none])]
    assert [event.as_of.sequence for event in events] == sorted(event.as_of.sequence for event in events)


async def test_who_starts_over_what_was_announced_announces_nothing(
    bus: Bus, server: NatsServer, chosen: Settings
) -> None:
    """Neither while it warms up, which begins with other models, nor when it is warm."""
    for model in OTHERS:
        await found(bus, model)
    await found(bus, A)
    await measured(bus, A, 40.0)
    async with recommenders(chosen, 1):
        (first,) = await announced(bus, 1)
    assert first.model == A
    for _ in range(2):
        async with recommenders(chosen) as services, agent(server) as heard:
            for service in services:
                await until_ready(service)
            await lost(bus, OTHERS.pop())  # is looked at, and changes nothing
            await found(bus, B)
            await measured(bus, B, 4000.0)
            better = await following(heard)
            await lost(bus, B)
            gone = await following(heard)
        assert story([better, gone]) == [("better", B, A), ("gone", A, B)]
    assert len(await announced(bus, 5)) == 5


class Scripted:
    """Stands for `Answers`: what each use case's standing is, or that it cannot be told."""

    def __init__(self) -> None:
        self.standings: dict[str, WinnerStatus | Exception] = {}
        self.asked = 0

    def winner_status(self, use_case: str, _: ModelRef | None, *, since: int = 0) -> WinnerStatus:
        """Return what is scripted for *use_case*, or raise it."""
        self.asked += 1
        scripted = self.standings[use_case]
        if isinstance(scripted, Exception):
            raise scripted
        return scripted


@pytest.fixture
async def announcing(bus: Bus) -> tuple[Announcing, Scripted]:
    """Return an announcer of `chat` and `fast` whose answers are scripted."""
    answers = Scripted()
    made = Announcing(
        bus=bus,
        answers=answers,  # type: ignore[arg-type]
        use_cases=("fast", "chat"),
        clock=bus.clock,
        log=bus.log,
    )
    answers.standings = dict.fromkeys(("fast", "chat"), WinnerStatus(best=None, as_of=as_of(0)))
    return made, answers


def as_of(sequence: int) -> AsOf:
    """Return *sequence* at the first of January."""
    return AsOf(sequence=sequence, scored_at=datetime(2026, 1, 1, tzinfo=UTC))


def announcement(model: ModelRef, known: AsOf) -> AnswerChanged:
    """Return that *model* is best for chat, by somebody who knew *known*."""
    return winner_event(model, at=datetime.now(UTC), as_of=known)


async def until_looked_at(announcing: Announcing, answers: Scripted) -> None:
    """Return when every use case has been looked at twice anew, with all that was decided done."""
    for _ in range(2):
        before = answers.asked
        announcing.poke()

        async def looked(before: int = before) -> bool:
            return answers.asked >= before + 2

        await eventually(looked, what="all looked at")


@pytest.mark.fault("the broker fails while winners are announced", "I12", "I13")
async def test_one_use_case_that_fails_and_then_the_broker_keep_nothing_else_back(
    bus: Bus, announcing: tuple[Announcing, Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are tried again at the next poke, and announced then."""
    announcer, answers = announcing
    answers.standings["fast"] = ZeroDivisionError()
    answers.standings["chat"] = WinnerStatus(best=(A, 50.0), as_of=as_of(0))
    publish, fails = bus.js.publish, iter([True])

    async def away(*args: object, **kwargs: object) -> object:
        if next(fails, False):
            raise ConnectionResetError
        return await publish(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(bus.js, "publish", away)
    await announcer.listen()
    bus.spawn(announcer.run())
    await until_looked_at(announcer, answers)
    assert story(await announced(bus, 1)) == [("first", A, None)]
    assert not bus.fatal.done()


@pytest.mark.fault("a replica that knows less than another", "I10", "I12")
async def test_nothing_is_decided_against_who_knew_more(
    bus: Bus, announcing: tuple[Announcing, Scripted]
) -> None:
    """Announced meanwhile by one who has seen more of the stream, or at a later minute: it holds."""
    announcer, answers = announcing
    heard = announcement(A, as_of(9))

    def race(use_case: str, before: ModelRef | None, *, since: int = 0) -> WinnerStatus:
        return WinnerStatus(best=(B, 90.0), score=50.0 if before else None, as_of=as_of(3))

    # It does not listen: what it hears, and when, is this test's to say.
    hear = announcer._received
    await bus.publisher.advance("ANSWERS", "answer.chat", lambda _: heard)
    answers.winner_status = race  # type: ignore[method-assign]
    await announcer._announce("chat")
    assert story(await announced(bus, 1)) == [("first", A, None)]

    # Heard, and the stream seen whole: then the stream that it knew more of is no more.
    last = await bus.streams.last("ANSWERS", "answer.chat")
    assert last is not None
    hear["chat"] = Versioned(last.sequence, heard)
    await announcer._announce("chat")
    assert story(await announced(bus, 2))[1:] == [("better", B, A)]

    later = msgspec.structs.replace(announcement(A, as_of(3)), as_of=as_of_later())
    await bus.publisher.advance("ANSWERS", "answer.chat", lambda _: later)
    last = await bus.streams.last("ANSWERS", "answer.chat")
    assert last is not None
    hear["chat"] = Versioned(last.sequence, later)
    await announcer._announce("chat")
    assert len(await announced(bus, 3)) == 3


def as_of_later() -> AsOf:
    """Return a moment after that of `as_of`."""
    return AsOf(sequence=0, scored_at=datetime(2026, 1, 2, tzinfo=UTC))


async def test_nothing_is_announced_unless_all_that_is_followed_was_seen(
    bus: Bus, announcing: tuple[Announcing, Scripted]
) -> None:
    """Not while a message is still on its way; then it is looked at again."""
    announcer, answers = announcing
    answers.standings["chat"] = WinnerStatus(best=(A, 50.0), as_of=as_of(0))
    following = await bus.followings.follow("MODELS", "model.>", lambda *_: None)
    assert await bus.followings.current()
    for model in (A, B):
        await found(bus, model)

    async def current() -> bool:
        return await bus.followings.current() and following.sequence == 4

    assert await eventually(current, what="current")
    following.sequence -= 1  # as if the broker had stored the last one, and not counted it yet
    assert not await bus.followings.current()
    following.sequence += 1
    assert await bus.followings.current()
    following.delivered -= 1  # as if the last one were still on its way through this process
    assert not await bus.followings.current()
    await announcer._announce("chat")
    assert await bus.streams.last("ANSWERS", "answer.chat") is None
    following.delivered += 1
    await announcer._announce("chat")
    assert story(await announced(bus, 1)) == [("first", A, None)]

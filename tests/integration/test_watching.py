"""`Client.watch` with an agent's credentials on a real nats-server: events as they happen, and no silent loss."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from eventually import eventually
from samples import benchmark_event, lifecycle_event, probe_event, winner_event
from vedette import Client
from vedette.bus.bus import Bus
from vedette.bus.connection import barrier, connect
from vedette.client.subscription import Watching
from vedette.client.winners import announced
from vedette.errors import FellBehind, RequestError
from vedette.messages.channels import PUBLIC_ANSWERS, PUBLIC_EVENTS
from vedette.messages.events import AnswerChanged, Event, ModelEvent
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Nats
from vedette.types import ModelRef

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MODEL = ModelRef("box", "a:b")


@pytest.fixture
async def client(bus: Bus, server: NatsServer) -> AsyncIterator[Client]:
    """Yield a client with an agent's credentials."""
    async with Client(server.url("agent"), timeout_s=60) as connected:
        yield connected


async def publish(bus: Bus, *events: ModelEvent) -> None:
    """Put *events* on their subjects, whatever is there."""
    for event in events:
        await bus.publisher.advance("MODELS", event.subject, lambda _, event=event: event)  # type: ignore[misc]


async def change_answer(bus: Bus, use_case: str) -> AnswerChanged:
    """Announce that the model is best for *use_case*."""
    event = winner_event(MODEL, at=NOW, use_case=use_case)
    await bus.publisher.advance("ANSWERS", event.subject, lambda _: event)
    return event


async def take(watching: Watching, number: int) -> list[Event]:
    """Return the next *number* events."""
    async with asyncio.timeout(60):
        return [await anext(watching) for _ in range(number)]


async def test_everything_public_is_heard_in_order(bus: Bus, client: Client) -> None:
    """Typed, without a word of which; a use case whose name needs escaping too."""
    found, probed = lifecycle_event("found", MODEL, at=NOW), probe_event(MODEL, at=NOW, job_id="p")
    async with client.watch() as everything:
        await publish(bus, found, probed)
        assert await take(everything, 2) == [found, probed]
        assert await take(everything, 0) == []
        changed = await change_answer(bus, "my.own case")
        assert await take(everything, 1) == [changed]


async def test_only_what_was_named_is_heard(bus: Bus, client: Client) -> None:
    """Events by name, use cases by name; a broken message is passed over."""
    async with client.watch(events=["model.benchmarked"], use_cases=["my.own case"]) as some:
        await publish(bus, lifecycle_event("found", MODEL, at=NOW))
        await change_answer(bus, "chat")
        await bus.js.publish("model.benchmarked.box.x", b"{}")
        benchmarked = benchmark_event(MODEL, at=NOW, tps=9.0)
        await publish(bus, benchmarked)
        assert await take(some, 1) == [benchmarked]
        changed = await change_answer(bus, "my.own case")
        assert await take(some, 1) == [changed]
    with pytest.raises(RequestError, match=r'did you mean "model\.found"'):
        client.watch(events=["model.fund"])


async def test_a_watch_that_was_not_entered_begins_when_it_is_read_and_ends_with_its_client(
    bus: Bus, client: Client
) -> None:
    heard: list[Event] = []
    begun = asyncio.Event()
    watching = client.watch(events=["model.found"])

    async def read() -> None:
        begun.set()
        async for event in watching:
            heard.append(event)
            await client.close()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        await begun.wait()
        assert client._connection is not None
        await barrier(client._connection)
        await publish(bus, lifecycle_event("found", MODEL, at=NOW))
    assert [type(event).TYPE for event in heard] == ["model.found"]


async def test_an_operator_reads_the_last_winner_change_of_each_use_case(
    bus: Bus, server: NatsServer
) -> None:
    await change_answer(bus, "chat")
    last = [await change_answer(bus, use_case) for use_case in ("chat", "my.own case")]
    async with connect(Nats(url=server.url("operator")), name="test") as connection:
        assert sorted(await announced(connection), key=lambda change: change.use_case) == last


@pytest.mark.fault("an agent reads slower than events come", "I6", "I13")
async def test_a_reader_that_is_too_slow_is_told(bus: Bus, client: Client) -> None:
    """It gets what was kept, then an error: not one event less without a word."""
    watching = Watching(client._connected, ("model.probed",), most_waiting=3)
    probes = [probe_event(MODEL, at=NOW, job_id=str(number)) for number in range(5)]
    async with watching:
        await publish(bus, *probes)
        connection = await client._connected()
        await barrier(connection)
        assert await take(watching, 3) == probes[:3]
        for _ in range(2):
            with pytest.raises(FellBehind, match="3 events wait"):
                await take(watching, 1)


@pytest.mark.fault("an agent's connection breaks", "I10")
async def test_a_break_of_the_connection_is_mentioned(
    bus: Bus, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """What happened meanwhile is not kept for anybody; the next event comes with a warning."""
    async with client.watch(events=["model.found"]) as watching:
        connection = await client._connected()
        await connection._process_op_err(ConnectionResetError())  # as its read loop does
        found = lifecycle_event("found", MODEL, at=NOW)

        async def reconnected() -> int:
            return int(connection.stats["reconnects"])

        await eventually(reconnected, what="reconnected")
        async with asyncio.timeout(60):
            await barrier(connection)
        with caplog.at_level(logging.WARNING, logger="vedette.watching"):
            await publish(bus, found)
            assert await take(watching, 1) == [found]
    assert ["was broken" in record.message for record in caplog.records] == [True]


def test_what_may_be_watched_is_enumerated() -> None:
    """No wildcard over events: an agent's permissions name each of them."""
    assert not [subject for subject in (*PUBLIC_EVENTS, PUBLIC_ANSWERS) if "*" in subject or ">" in subject]

"""Ingest on a real broker and both databases: what it cannot read, outages, streams that are not what they were."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import msgspec
import prometheus_client
import pytest
import sqlalchemy as sa
from nats.js.errors import NotFoundError
from structlog.testing import capture_logs

from eventually import eventually, until_ready
from recorded import all_recorded
from samples import lifecycle_event, probe_event, stored
from vedette.bus.bus import Bus
from vedette.bus.provisioning import provision
from vedette.errors import ConsumerVanished
from vedette.messages import ids
from vedette.messages.catalogue import ModelState
from vedette.messages.codec import encode
from vedette.messages.consumers import recording
from vedette.messages.events import Event, Job, Lifecycle
from vedette.settings import Database, Settings
from vedette.types import ModelRef
from vedette_recorder import app, handlers, tables
from vedette_recorder.dead_letters import letters
from vedette_recorder.lag_monitor import LagMonitor
from vedette_recorder.record import Message, Position, dead_letter
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MODEL = ModelRef("local", "m")
MODELS = recording("MODELS")
PROBES = tables.model_availability_history


def probe(n: int, model: ModelRef = MODEL) -> Event:
    return probe_event(model, at=NOW + timedelta(seconds=n), job_id=str(n))


async def publish(bus: Bus, *events: Event) -> None:
    for event in events:
        await bus.js.publish(event.subject, encode(event), headers={"Nats-Msg-Id": event.id})


async def recorded(store: Store, count: int, table: sa.Table = PROBES) -> None:
    async def ask() -> bool:
        return await store.count(table) == count

    await eventually(ask, what=f"{count} rows of {table.name}")


def metric(name: str, **labels: str) -> float:
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def chosen(settings: Settings, url: str) -> Settings:
    """Return settings of a recorder on each kind of database in turn."""
    return msgspec.structs.replace(settings, database=Database(url=url))


@pytest.mark.fault("garbage and events of the future in a batch", "I1", "I2")
async def test_what_this_version_cannot_read_is_kept_and_the_rest_recorded(
    bus: Bus, chosen: Settings, store: Store
) -> None:
    """An event of a newer version and one that contradicts its subject, whole, counted apart."""
    unknown = metric("vedette_recorded_total", stream="MODELS", outcome="unknown")
    dead = metric("vedette_recorded_total", stream="MODELS", outcome="dead")
    future = b'{"id": "x", "new": [1, 2]}'
    await publish(bus, probe(1))
    await bus.js.publish("model.somethingnew.local.m", future, headers={"Nats-Msg-Id": "x"})
    await bus.js.publish("model.probed.local.other", encode(probe(2)))
    await publish(bus, probe(3))
    async with app.serve(chosen):
        await recorded(store, 2)
        await recorded(store, 2, tables.dead_letters)
    rows = {row["subject"]: row for row in await store.read(sa.select(tables.dead_letters))}
    kept = rows["model.somethingnew.local.m"]
    assert (kept["payload"], kept["headers"]) == (future, {"Nats-Msg-Id": "x"})
    assert "this version of Vedette does not know this event" in kept["reason"]
    assert "belongs on model.probed.local.m" in rows["model.probed.local.other"]["reason"]
    assert metric("vedette_recorded_total", stream="MODELS", outcome="unknown") == unknown + 1
    assert metric("vedette_recorded_total", stream="MODELS", outcome="dead") == dead + 1


async def test_a_model_with_an_event_of_a_newer_version_still_moves_forward(bus: Bus) -> None:
    """What an older version publishes next comes after it."""
    ack = await bus.js.publish("model.somethingnew.local.m", b"{}")
    assert (await bus.streams.read_model(MODEL)).sequence == ack.seq

    def found(_: ModelState) -> Lifecycle:
        return lifecycle_event("found", MODEL, at=NOW)

    assert await bus.publisher.advance_model(MODEL, found, known=None) is not None


async def test_letters_of_the_database_are_replayed_once_they_can_be_read(store: Store) -> None:
    """After an upgrade they become rows and are letters no more; twice does nothing; others stay."""
    event = probe(1)
    message = stored(event, 7, at=NOW)
    stray = msgspec.structs.replace(message, sequence=8, payload=b"\xff")
    await store.write([dead_letter(message, "unknown"), dead_letter(stray, "not JSON")])
    found = [whole async for whole in letters(bus=None, store=store)]
    results = [await whole.replay() for whole in found + found]
    assert [result.done for result in results] == [True, False, True, False]
    assert results[1].detail.startswith("still: ")
    assert await store.count(PROBES) == 1
    (left,) = [whole async for whole in letters(bus=None, store=store)]
    assert (left.letter.sequence, left.payload) == (8, b"\xff")
    assert await left.drop()
    assert await store.count(tables.dead_letters) == 0


async def test_a_table_that_still_refuses_keeps_its_letter(store: Store) -> None:
    """The others' letters of the message are gone."""
    event = lifecycle_event("found", MODEL, at=NOW, revision=2**70)
    message = stored(event, 7, at=NOW)
    await store.write([dead_letter(message, "?", table=name) for name in ("model_info", "model_reports")])
    (whole,) = [whole async for whole in letters(bus=None, store=store)]
    assert set(whole.letter.tables) == {"model_info", "model_reports"}
    assert not (await whole.replay()).done
    (again,) = [whole async for whole in letters(bus=None, store=store)]
    assert set(again.letter.tables) == {"current_state", "model_info", "model_info_history"}


async def test_many_letters_are_listed_whole_and_once(store: Store) -> None:
    """Chunk by chunk, and none is cut in two by the border of a chunk."""
    messages = [
        Message(stream="MODELS", stream_created_at=NOW, sequence=n, at=NOW, subject="s", payload=b"")
        for n in range(1, 401)
    ]
    await store.write(
        [dead_letter(message, "?", table=name) for message in messages for name in ("a", "b", "c")]
    )
    found = [whole.letter async for whole in letters(bus=None, store=store)]
    assert [letter.sequence for letter in found] == list(range(1, 401))
    assert {letter.tables for letter in found} == {("a", "b", "c")}
    assert len({letter.id for letter in found}) == 400


async def test_letters_of_services_are_queued_again_only_where_that_is_safe(bus: Bus) -> None:
    """A job is; an event, a tick and what cannot be read are not, and it is said what to do."""
    job = Job(id=ids.derive(NOW, "j"), at=NOW, kind="probe", group="h", endpoint="local")
    subscription = await bus.connection.subscribe("buried")
    for subject, payload in (
        (job.subject, encode(job)),
        (probe(1).subject, encode(probe(1))),
        ("job.probe.h.other", b"{"),
    ):
        await bus.connection.publish("buried", payload)
        message = await subscription.next_msg(timeout=60)
        message.subject = subject
        await bus.publisher.bury(message, reason="it failed")
    await subscription.unsubscribe()
    found = [whole async for whole in letters(bus=bus, store=None)]
    assert [whole.letter.where for whole in found] == ["test"] * 3
    results = [await whole.replay() for whole in found]
    assert [result.done for result in results] == [True, False, False]
    assert "count as newer" in results[1].detail
    assert results[2].detail.startswith("still: ")
    held = await bus.streams.last("JOBS", job.subject)
    assert held is not None
    assert held.event == job
    left = [whole async for whole in letters(bus=bus, store=None)]
    assert [whole.letter.subject for whole in left] == [probe(1).subject, "job.probe.h.other"]
    assert await left[0].drop()
    assert not await left[0].drop()


async def test_a_locked_database_is_waited_for_from_the_start(
    bus: Bus, settings: Settings, tmp_path: Path
) -> None:
    """It starts, says what is wrong, and records all when the lock is gone: without a restart."""
    path = tmp_path / "vedette.db"
    chosen = msgspec.structs.replace(
        settings, database=Database(url=f"sqlite+aiosqlite:///{path}?timeout=0.05")
    )
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        async with app.serve(chosen) as service, Store(f"sqlite+aiosqlite:///{path}") as store:

            async def locked() -> bool:
                return "locked" in (await service.ready() or "")

            await eventually(locked, what="it says what is wrong")
            assert metric("vedette_database_waiting", stream="tables") == 1
            await publish(bus, *(probe(n) for n in range(5)))
            other.execute("ROLLBACK")
            await until_ready(service)
            await recorded(store, 5)
            # In another thread: the recorder, which may be about to commit, runs in this one.
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
            await publish(bus, probe(5))

            async def waiting() -> bool:
                return metric("vedette_database_waiting", stream="MODELS") == 1

            await eventually(waiting, what="waiting for the database")
            assert "locked" in (await service.ready() or "")
            other.execute("ROLLBACK")
            await recorded(store, 6)
            await until_ready(service)
            assert metric("vedette_database_waiting", stream="MODELS") == 0


async def test_tables_that_take_long_hold_up_no_start(
    bus: Bus, settings: Settings, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is there, says what it waits for, and records all when the tables are as it needs them."""
    monkeypatch.setattr(handlers, "_TABLES_FIRST_S", 0.2)
    chosen = msgspec.structs.replace(settings, database=Database(url=postgres_url))
    other = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    async with Store(postgres_url) as store:
        await store.migrate()
        changing = other.transaction()
        await changing.start()
        await other.execute("LOCK TABLE alembic_version")
        async with asyncio.timeout(120), app.serve(chosen) as service:
            assert "brought up to this version" in (await service.ready() or "")
            await publish(bus, probe(1))
            await changing.rollback()
            await recorded(store, 1)
            await until_ready(service)
    await other.close()


@pytest.mark.fault("stream drops what was not recorded", "I10")
async def test_what_the_stream_drops_before_it_is_recorded_is_a_gap(bus: Bus, store: Store) -> None:
    """Counted exactly, noted once, whoever looks; and the backlog says that its room is used up."""
    config = (await bus.js.stream_info("MODELS")).config
    config.max_msgs_per_subject = 5
    await bus.js.update_stream(config)
    lag_monitor = LagMonitor(bus=bus, store=store, clock=bus.clock)
    await lag_monitor.begin(MODELS)
    await publish(bus, probe(1))
    calm = await lag_monitor.check(MODELS)
    assert (calm.messages, calm.used) == (1, 0.2)
    assert await store.count(tables.stream_gaps) == 0
    await publish(bus, *(probe(n) for n in range(2, 13)))
    for watcher in (lag_monitor, lag_monitor, LagMonitor(bus=bus, store=store, clock=bus.clock)):
        full = await watcher.check(MODELS)
        assert (full.messages, full.used, full.limit) == (5, 1.0, "messages per subject")
    (row,) = await store.read(sa.select(tables.stream_gaps))
    assert (row["first_sequence"], row["last_sequence"], row["missing"]) == (1, 12, 7)
    assert metric("vedette_lag_messages", stream="MODELS") == 5
    assert metric("vedette_lag_room_used", stream="MODELS") == 1.0
    assert metric("vedette_lost_messages", stream="MODELS") == 7


@pytest.mark.fault("stream recreated under a recorder", "I1")
async def test_a_stream_made_anew_under_a_running_recorder_is_read_from_its_start(
    bus: Bus, chosen: Settings, store: Store
) -> None:
    """The running one ends, the next one records: by the new stream's count, nothing doubled."""
    async with app.serve(chosen) as service:
        await publish(bus, *(probe(n) for n in range(3)))
        await recorded(store, 3)
        await bus.js.delete_stream("MODELS")
        await provision(bus.connection, chosen)
        await publish(bus, probe(1), probe(9))

        async def ended() -> bool:
            return service.bus.fatal.done()

        await eventually(ended, what="the end of the recorder")
        assert isinstance(service.bus.fatal.exception(), ConsumerVanished)
    async with app.serve(chosen):
        await recorded(store, 4)
    (state,) = await store.read(sa.select(tables.current_state))
    created = (await bus.js.stream_info("MODELS")).created
    assert (state["sequence"], state["stream_created_at"], state["event_id"]) == (2, created, probe(9).id)


@pytest.mark.lane("faults")
@pytest.mark.fault("stream recreated while no recorder ran", "I1")
async def test_a_stream_made_anew_while_no_recorder_ran_is_said_and_read(
    bus: Bus, chosen: Settings, store: Store
) -> None:
    """With what puts the state back; what is in both streams is recorded once, and no gap is invented."""
    async with app.serve(chosen):
        await publish(bus, *(probe(n) for n in range(3)))
        await recorded(store, 3)

        async def noted() -> bool:
            position = await store.position("MODELS")
            return position is not None and position.sequence == 3

        await eventually(noted, what="how far it was recorded")
    await bus.js.delete_stream("MODELS")
    await provision(bus.connection, chosen)
    await publish(bus, probe(1), probe(9))
    with capture_logs() as logs:
        async with app.serve(chosen):
            await recorded(store, 4)
    (said,) = [line for line in logs if line["event"] == "stream.recreated"]
    assert (said["stream"], said["recorded"]) == ("MODELS", 3)
    assert "vedette rebuild" in said["remedy"]
    assert await store.count(tables.stream_gaps) == 0


@pytest.mark.fault("stream shorter than what was recorded", "I1")
async def test_a_stream_that_is_shorter_than_what_was_recorded_is_read_again(
    bus: Bus, chosen: Settings, store: Store
) -> None:
    """From its start, by a durable made anew; the event ids keep everything exact, and no gap is invented."""
    created = (await bus.js.stream_info("MODELS")).created
    assert created is not None
    async with app.serve(chosen):
        await publish(bus, *(probe(n) for n in range(3)))
        await recorded(store, 3)
    await bus.js.delete_msg("MODELS", 2)
    before = await bus.js.consumer_info("MODELS", "recorder")
    await store.reach("MODELS", Position(stream_created_at=created, sequence=999))
    async with app.serve(chosen):

        async def read_again() -> bool:
            try:
                info = await bus.js.consumer_info("MODELS", "recorder")
            except NotFoundError:
                return False  # it is being made anew
            return info.created > before.created and await all_recorded(bus.js, "MODELS")

        await eventually(read_again, what="read again")
    assert await store.position("MODELS") == Position(stream_created_at=created, sequence=3)
    assert await store.count(PROBES) == 3
    assert await store.count(tables.stream_gaps) == 0

"""The recorder's database, on real SQLite and real PostgreSQL."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from eventually import eventually
from vedette.errors import ConfigurationError
from vedette.messages import ids
from vedette.messages.codec import encode
from vedette.messages.events import Event, ModelFound, ModelLost, ModelProbed
from vedette.types import Health, Level, ModelInfo, ModelRef, Outcome, ProbeSample, Status
from vedette_recorder import store as store_module
from vedette_recorder import tables
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.record import Gap, Message, Position, Row, rows_of
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CREATED = NOW - timedelta(days=90)
MODEL = ModelRef("local", "llama3.1:8b")


def found(at: datetime = NOW, *, revision: int = 1, model: ModelRef = MODEL, digest: str = "d") -> ModelFound:
    """Return a discovery of *model*."""
    info = ModelInfo(model=model, provider="ollama", url="http://localhost", api="ollama", digest=digest)
    event_id = ids.derive(at, "found", str(model))
    return ModelFound(id=event_id, at=at, model=model, info=info, revision=revision)


def lost(at: datetime, *, revision: int = 2) -> ModelLost:
    """Return the loss of the model."""
    event_id = ids.derive(at, "lost")
    return ModelLost(id=event_id, at=at, model=MODEL, info=found().info, revision=revision, reason="absent")


def probed(at: datetime = NOW, *, detail: str | None = None, event_id: str | None = None) -> ModelProbed:
    """Return a successful probe of the model."""
    sample = ProbeSample(job_id="j", at=at, outcome=Outcome.OK, level=Level.ANSWER, detail=detail)
    health = Health(status=Status.AVAILABLE, since=at, checked_at=at)
    return ModelProbed(
        id=event_id or ids.derive(at, "probed"), at=at, model=MODEL, sample=sample, health=health
    )


def message(event: Event, sequence: int, *, created: datetime = CREATED) -> Message:
    """Return *event* as it arrives at *sequence*."""
    return Message(
        stream="MODELS",
        stream_created_at=created,
        sequence=sequence,
        at=event.at,
        subject=event.subject,
        payload=encode(event),
        headers={"ce-id": event.id},
    )


def rows(event: Event, sequence: int, *, created: datetime = CREATED) -> tuple[Row, ...]:
    """Return what *event* at *sequence* writes."""
    return rows_of(event, message(event, sequence, created=created))


async def only(store: Store, table: sa.Table) -> sa.RowMapping:
    """Return the one row of *table*."""
    (row,) = await store.read(sa.select(table))
    return row


@pytest.mark.fault("a batch delivered twice", "I1")
async def test_the_same_rows_twice_are_stored_once(store: Store) -> None:
    """Within a batch and across batches."""
    batch = [*rows(found(), 1), *rows(probed(), 2)]
    for written in (batch + batch, batch):
        assert await store.write(written) == ()
    for table in (tables.model_info, tables.model_info_history, tables.model_availability_history):
        assert await store.count(table) == 1
    assert await store.count(tables.current_state) == 2


async def test_what_is_written_is_what_is_read(store: Store) -> None:
    """Times come back aware and in UTC, ids as text, bytes and JSON as they were."""
    event = found(NOW.astimezone(tz=None))
    await store.write(rows(event, 1))
    state = await only(store, tables.current_state)
    assert (state["at"], state["at"].tzinfo) == (NOW, UTC)
    assert (state["event_id"], state["payload"], state["headers"]) == (
        event.id,
        encode(event),
        {"ce-id": event.id},
    )
    history = await only(store, tables.model_info_history)
    assert msgspec.convert(history["info"], ModelInfo) == event.info
    assert history["changes"] is None


@pytest.mark.fault("events out of order", "I1", "I10")
async def test_old_news_does_not_replace_current_state(store: Store) -> None:
    """Whatever the order of arrival, the message furthest on in its stream is the state."""
    events = [(found(NOW - timedelta(minutes=n), revision=10 - n, digest=f"d{n}"), 10 - n) for n in range(5)]
    for seed in range(5):
        shuffled = Random(seed).sample(events, k=len(events))
        await store.write([row for event, sequence in shuffled for row in rows(event, sequence)])
        state, info = await only(store, tables.current_state), await only(store, tables.model_info)
        assert (state["sequence"], state["event_id"]) == (10, events[0][0].id)
        assert (info["revision"], info["digest"]) == (10, "d0")
        assert (info["first_seen_at"], info["last_seen_at"]) == (NOW - timedelta(minutes=4), NOW)


async def test_state_follows_a_stream_that_was_made_anew(store: Store) -> None:
    """In a new stream sequences and revisions begin again, and they hold."""
    await store.write(rows(found(revision=50), 900))
    again = found(NOW + timedelta(days=1), revision=1)
    await store.write(rows(again, 1, created=NOW))
    assert (await only(store, tables.current_state))["event_id"] == again.id
    assert (await only(store, tables.model_info))["revision"] == 1


async def test_a_probe_moves_last_seen_forward_only(store: Store) -> None:
    """A late probe does not make a model look longer unseen."""
    later = NOW + timedelta(hours=1)
    await store.write([*rows(found(), 1), *rows(probed(later), 3), *rows(probed(NOW), 2)])
    assert (await only(store, tables.model_info))["last_seen_at"] == later


@pytest.mark.parametrize("where", [0, 1, 4])
@pytest.mark.fault(
    "a value no database holds, in a batch",
    "I1",
    "I5",
    without=("vedette_recorder.writing:_blames_row", lambda _: False),
)
async def test_a_poison_row_is_quarantined_and_the_rest_stored(store: Store, where: int) -> None:
    """The dead letter has the reason and the original bytes."""
    poison = found(NOW + timedelta(days=1), revision=2**70)
    batch = [rows(probed(NOW + timedelta(minutes=n)), n) for n in range(5)]
    batch.insert(where, rows(poison, 9))
    dead = await store.write([row for group in batch for row in group])
    assert {row.values["table_name"] for row in dead} == {"current_state", "model_info", "model_info_history"}
    assert await store.count(tables.model_availability_history) == 5
    letters = await store.read(sa.select(tables.dead_letters))
    assert {letter["payload"] for letter in letters} == {encode(poison)}
    assert all(letter["reason"] for letter in letters)
    await store.write([row for group in batch for row in group])
    assert await store.count(tables.dead_letters) == 3


async def test_an_id_that_is_no_uuid_is_quarantined(store: Store) -> None:
    """Both databases refuse the same ids."""
    dead = await store.write([*rows(probed(event_id="not-a-uuid"), 1), *rows(found(), 2)])
    assert {row.values["table_name"] for row in dead} == {"current_state", "model_availability_history"}
    assert await store.count(tables.model_info) == 1


@pytest.mark.parametrize("value", [object(), ["a"], "2026-11-23", NOW.replace(tzinfo=None)])
async def test_a_value_of_a_wrong_type_is_quarantined(store: Store, value: object) -> None:
    """A time that is none, or has no zone, concerns its own row alone."""
    state, *rest = rows(found(), 1)
    bad = msgspec.structs.replace(state, values={**state.values, "at": value})
    (dead,) = await store.write([bad, *rest])
    assert dead.values["table_name"] == "current_state"
    assert await store.count(tables.model_info) == 1


async def test_nul_in_a_text_loses_nothing(store: Store, url: str) -> None:
    """PostgreSQL stores no NUL in a text: that row is dead, the raw event is kept; SQLite stores it."""
    dead = await store.write([*rows(probed(detail="a\x00b"), 1), *rows(found(), 2)])
    expected = ["model_availability_history"] if url.startswith("postgresql") else []
    assert [row.values["table_name"] for row in dead] == expected
    assert await store.count(tables.current_state) == 2


async def test_the_position_is_the_last_one_said(store: Store) -> None:
    """A recorder that starts again knows where it was, further on or further back."""
    assert await store.position("MODELS") is None
    for sequence in (5, 9, 7):
        position = Position(stream_created_at=CREATED, sequence=sequence)
        await store.reach("MODELS", position)
        assert await store.position("MODELS") == position


async def test_gaps_that_overlap_are_kept_as_one(store: Store) -> None:
    """However often and by whomever they are noticed; what is known already is no news."""
    first = gap(3, 9, missing=2)
    assert await store.note(first) == first
    assert await store.note(first) is None
    assert await store.note(gap(20, 30, missing=1)) is not None
    wider = await store.note(gap(8, 12, missing=4))
    assert wider is not None
    assert (wider.first_sequence, wider.last_sequence, wider.missing) == (3, 12, 4)
    kept = await store.read(sa.select(tables.stream_gaps).order_by(tables.stream_gaps.c.first_sequence))
    assert [(row["first_sequence"], row["last_sequence"], row["missing"]) for row in kept] == [
        (3, 12, 4),
        (20, 30, 1),
    ]


def gap(first: int, last: int, *, missing: int) -> Gap:
    """Return a gap in MODELS."""
    return Gap(
        stream="MODELS",
        stream_created_at=CREATED,
        first_sequence=first,
        last_sequence=last,
        missing=missing,
        at=NOW,
    )


@pytest.mark.parametrize("chunk", [1, 3, 5, 6, 100])
async def test_rows_are_streamed_in_order_and_each_once(store: Store, chunk: int) -> None:
    """However many at a time, and where several share a moment; what comes behind the place reached comes too."""
    table = tables.model_availability_history
    events = [ids.derive(NOW, str(n)) for n in range(6)]
    for n in (5, 1, 3, 0, 4):
        await store.write(rows(probed(NOW + timedelta(seconds=n // 3), event_id=events[n]), n))
    expected = sorted((n // 3, events[n]) for n in (0, 1, 3, 4, 5))
    streamed = []
    async for some in store.stream(sa.select(table), (table.c.measured_at, table.c.event_id), chunk=chunk):
        assert len(some) <= chunk
        streamed += [((row["measured_at"] - NOW).seconds, row["event_id"]) for row in some]
    assert streamed == expected


async def test_retention_deletes_history_in_batches(store: Store) -> None:
    """What is as old as the cutoff stays, and so does current state of any age."""
    events = [probed(NOW - timedelta(days=n)) for n in range(10)]
    await store.write([row for n, event in enumerate(events) for row in rows(event, 10 - n)])
    deleted = await store.delete_older_than(NOW - timedelta(days=4), batch=2)
    assert deleted["model_availability_history"] == 5
    assert await store.count(tables.model_availability_history) == 5
    assert await store.delete_older_than(NOW + timedelta(days=1)) != {}
    assert await store.count(tables.current_state) == 1


async def test_retention_keeps_the_description_that_was_valid_at_the_cutoff(store: Store) -> None:
    """Otherwise a model that never changes would vanish from the past."""
    ages = (50, 40, 10)
    events = [found(NOW - timedelta(days=age), revision=n) for n, age in enumerate(ages)]
    await store.write([row for n, event in enumerate(events) for row in rows(event, n)])
    deleted = await store.delete_older_than(NOW - timedelta(days=30))
    kept = await store.read(sa.select(tables.model_info_history.c.revision))
    assert deleted["model_info_history"] == 1
    assert {row["revision"] for row in kept} == {1, 2}


async def test_a_model_lost_long_ago_is_forgotten(store: Store) -> None:
    """With its history and its current state; a model lost lately is kept."""
    other = found(model=ModelRef("local", "other"))
    await store.write(
        [
            *rows(found(NOW - timedelta(days=60)), 1),
            *rows(probed(NOW - timedelta(days=50)), 2),
            *rows(lost(NOW - timedelta(days=40)), 3),
            *rows(other, 4),
        ]
    )
    await store.delete_older_than(NOW - timedelta(days=41))
    assert await store.count(tables.model_info) == 2
    deleted = await store.delete_older_than(NOW - timedelta(days=30), batch=1)
    assert deleted["model_info"] == 1
    for table in (tables.model_info, tables.model_info_history, tables.current_state):
        assert (await only(store, table))["model"] == "other"


_HISTORIES = [table for table in tables.metadata.sorted_tables if "measured_at" in table.columns]


async def test_retention_finds_what_is_old_by_index(store: Store, url: str) -> None:
    """However much is younger: in every history, the range of old times is read from the index over time."""
    engine = create_async_engine(url)
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    deletions: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: bool) -> None:
        if statement.startswith("DELETE"):
            deletions.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        await store.delete_older_than(NOW)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    async with engine.connect() as connection:
        if engine.dialect.name == "postgresql":  # its tables are empty, and so read whole for choice
            await connection.exec_driver_sql("SET enable_seqscan = off")
        for table in _HISTORIES:
            statement, parameters = next(
                d for d in deletions if d[0].startswith(f"DELETE FROM {table.name} ")
            )
            plan = str((await connection.exec_driver_sql(f"{explain} {statement}", parameters)).all())
            assert f"ix_{table.name}_measured_at" in plan, plan
    await engine.dispose()


async def test_times_sort_as_text_on_sqlite(tmp_path: Path) -> None:
    """With microseconds or without, and as SQLAlchemy's own type reads and writes them."""
    times = [NOW, NOW + timedelta(microseconds=1), NOW + timedelta(seconds=1)]
    async with Store(f"sqlite+aiosqlite:///{tmp_path}/vedette.db") as store:
        await store.migrate()
        await store.write(
            [
                row
                for n, at in enumerate(times)
                for row in rows(probed(at, event_id=ids.derive(at, str(n))), n)
            ]
        )
        kept = await store.read(
            sa.select(sa.type_coerce(tables.model_availability_history.c.measured_at, sa.Text))
        )
    assert sorted(row["measured_at"] for row in kept) == [
        sa.dialects.sqlite.DATETIME().bind_processor(sa.dialects.sqlite.dialect())(at) for at in times
    ]


@pytest.mark.fault("retention deletes while events come", "I1")
async def test_ingest_goes_on_during_retention(store: Store) -> None:
    """Both write at once, and neither fails nor waits for the other's end."""
    old = [probed(NOW - timedelta(days=60, seconds=n)) for n in range(200)]
    await store.write([row for n, event in enumerate(old) for row in rows(event, n)])
    retention = asyncio.create_task(store.delete_older_than(NOW - timedelta(days=30), batch=10))
    for n in range(20):
        await store.write(rows(probed(NOW + timedelta(seconds=n)), 1000 + n))
    async with asyncio.timeout(60):
        assert (await retention)["model_availability_history"] == 200
    assert await store.count(tables.model_availability_history) == 20


@pytest.mark.fault("two recorders write the same at once", "I1")
async def test_recorders_that_write_the_same_at_once_store_it_once(store: Store, url: str) -> None:
    """Two stores, the same messages, no deadlock."""
    events = [probed(NOW + timedelta(seconds=n)) for n in range(100)]
    batch = [row for n, event in enumerate(events) for row in rows(event, n)]
    async with Store(url) as other:
        await asyncio.gather(store.write(batch), other.write(batch[::-1]))
    assert await store.count(tables.model_availability_history) == 100
    assert (await only(store, tables.current_state))["sequence"] == 99


async def _differences(url: str) -> Any:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        context = MigrationContext.configure  # compares types as well, which is its default
        found = await connection.run_sync(lambda sync: compare_metadata(context(sync), tables.metadata))
    await engine.dispose()
    return found


async def test_tables_equal_migrations(store: Store, url: str) -> None:
    """All migrations applied give exactly the tables that the code writes to."""
    assert await _differences(url) == []


async def test_migrating_again_changes_nothing(store: Store, url: str) -> None:
    """A start on an up-to-date database keeps what is there."""
    await store.write(rows(found(), 1))
    async with Store(url) as again:
        await again.migrate()
        assert await again.count(tables.model_info) == 1


async def test_tables_of_a_newer_version_are_refused(store: Store, url: str) -> None:
    """An older Vedette names the mismatch and touches nothing."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(ConfigurationError, match=r"another version of Vedette.*9999"):
        await store.migrate()


async def test_downgrade_leaves_nothing_and_can_be_undone(store: Store, url: str) -> None:
    """Down to no tables, and up again."""
    await store.downgrade("base")
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        left = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    await engine.dispose()
    assert left == ["alembic_version"]
    await store.migrate()
    assert await store.count(tables.model_info) == 0


_MIGRATE = """
import asyncio, sys
from vedette_recorder.store import Store
async def main():
    async with Store(sys.argv[1]) as store:
        await store.migrate()
asyncio.run(main())
"""


@pytest.mark.lane("faults")
@pytest.mark.fault("processes migrate at once", "I5")
def test_processes_that_migrate_at_once_wait_for_each_other(url: str) -> None:
    """One makes the tables, the others find them made."""
    command = [sys.executable, "-c", _MIGRATE, url]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(process.communicate(timeout=600)[1], process.returncode) for process in processes]
    assert ended == [("", 0)] * 2
    assert asyncio.run(_differences(url)) == []


async def test_a_new_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    """SQLite refuses a write-ahead log at once, without its own timeout, while another makes the same file."""
    path = tmp_path / "vedette.db"
    async with Store(f"sqlite+aiosqlite:///{path}?timeout=0") as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            migrating = asyncio.create_task(store.migrate())
            await asyncio.wait([migrating], timeout=0.5)
            assert not migrating.done()
        await migrating
        assert await store.count(tables.model_info) == 0


async def test_changing_tables_may_take_long(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing months of rows anew takes longer than any other command may."""
    async with Store(postgres_url) as store:
        await store.migrate()
    monkeypatch.setattr(store_module, "COMMAND_TIMEOUT_S", 0.2)
    other = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    async with Store(postgres_url) as store:
        async with other.transaction():
            await other.execute("LOCK TABLE alembic_version, model_info")
            with pytest.raises(DatabaseUnavailable):
                await store.write(rows(found(), 1))
            changing = asyncio.create_task(store.migrate())
            await asyncio.wait([changing], timeout=1)
            assert not changing.done()
        await changing
    await other.close()


async def test_a_locked_database_is_unavailable_until_it_is_free(tmp_path: Path) -> None:
    """The rows can be written again once the lock is gone."""
    path = tmp_path / "vedette.db"
    async with Store(f"sqlite+aiosqlite:///{path}?timeout=0.05") as store:
        await store.migrate()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable, match=r"locked"):
                await store.write(rows(found(), 1))
        await store.write(rows(found(), 1))
        assert await store.count(tables.model_info) == 1


@pytest.mark.fault("connection to the database cut", "I1")
async def test_a_cut_connection_costs_one_attempt(postgres_url: str) -> None:
    """What was being written is not stored, and the next attempt connects anew."""
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    async with Store(postgres_url) as store, Store(postgres_url) as other:
        await store.migrate()
        await store.write(rows(found(), 1))
        await other.read(sa.select(sa.text("1")).select_from(sa.text(f"({cut}) AS cut")))
        later = rows(probed(NOW), 2)
        with pytest.raises(DatabaseUnavailable):
            await store.write(later)
        assert await store.count(tables.model_availability_history) == 0
        await store.write(later)
        assert await store.count(tables.model_availability_history) == 1


@pytest.mark.fault("a write cancelled in its midst", "I1", "I3")
async def test_a_cancelled_write_leaves_nothing_half_done(store: Store) -> None:
    """It is stored whole or not at all, and the next one finds the database free."""
    events = [probed(NOW + timedelta(seconds=n)) for n in range(50)]
    batch = [row for n, event in enumerate(events) for row in rows(event, n)]
    for turns in range(0, 60, 7):
        writing = asyncio.create_task(store.write(batch))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert await store.count(tables.model_availability_history) in (0, 50)
    await store.write(batch)
    assert await store.count(tables.model_availability_history) == 50


async def test_a_schema_that_is_missing_blames_no_row(url: str) -> None:
    """Without its tables the database is unavailable; nothing is quarantined."""
    async with Store(url) as store:
        with pytest.raises(DatabaseUnavailable, match=r"model_"):
            await store.write(rows(found(), 1))


async def test_a_database_out_of_reach_is_unavailable(tmp_path: Path) -> None:
    """The error hides the password."""
    async with Store(f"postgresql+asyncpg://user:secret@/vedette?host={tmp_path}") as store:
        with pytest.raises(DatabaseUnavailable) as raised:
            await store.write(rows(found(), 1))
    assert "secret" not in str(raised.value)


async def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The configuration is at fault, and the message says where."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"database\.url: the directory .*file cannot be made"):
        async with Store(f"sqlite+aiosqlite:///{tmp_path}/file/vedette.db"):
            pass


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("vedette.db", "is not a database URL"),
        ("sqlite:///vedette.db", "use sqlite"),
        ("mysql://localhost/vedette", "use sqlite"),
        ("sqlite+aiosqlite://", "names no file"),
    ],
)
def test_a_url_that_names_no_supported_database_is_refused(url: str, problem: str) -> None:
    """The message says what is supported."""
    with pytest.raises(ConfigurationError, match=problem):
        Store(url)


@pytest.mark.fault("PostgreSQL gone before a new connection is set up", "I4")
async def test_a_connection_that_breaks_while_it_is_set_up_is_an_outage(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading and writing: SQLAlchemy does not translate what asyncpg raises then."""

    async def broken(*_: object, **__: object) -> None:
        raise asyncpg.InterfaceError("connection is closed")

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", broken)
    async with Store(postgres_url) as store:
        with pytest.raises(DatabaseUnavailable, match="connection is closed"):
            await store.count(tables.model_info)
        with pytest.raises(DatabaseUnavailable, match="connection is closed"):
            await store.write(rows(found(), 1))


async def _nothing(tasks: object, *, cancel: bool) -> None:
    """Do what an exit without the protection does."""


@pytest.mark.parametrize(
    "cancelled",
    [
        pytest.param(
            False,
            marks=pytest.mark.fault(
                "the recorder stops while a query or a write is under way",
                "I6",
                without=("vedette_recorder.store:_end", _nothing),
            ),
        ),
        # The cancellation alone ends this one.
        pytest.param(
            True,
            marks=pytest.mark.fault("the recorder stops while a query or a write is under way", "I6"),
        ),
    ],
)
async def test_nothing_is_under_way_when_the_store_is_closed(postgres_url: str, cancelled: bool) -> None:
    """A connection that is in use then would never be closed."""
    async with Store(postgres_url) as store, Store(postgres_url) as other:
        query = sa.select(sa.func.pg_sleep(300))
        reading = asyncio.create_task(store.read(query))

        async def sleeping() -> int:
            activity = sa.table("pg_stat_activity", sa.column("state"), sa.column("query"))
            slept = activity.c.query.like("SELECT pg_sleep%")
            counted = sa.select(sa.func.count().label("n")).where(slept, activity.c.state == "active")
            return int((await other.read(counted))[0]["n"])

        await eventually(sleeping, what="the query runs")
        if cancelled:
            reading.cancel()
        await store.__aexit__()

        async def ended() -> bool:
            return await sleeping() == 0

        # The server was asked to end it, and does so a moment later; by itself the query would go on for minutes.
        await eventually(ended, within_s=60.0, what="the server ended the query")
        await asyncio.wait([reading])
        assert reading.cancelled()

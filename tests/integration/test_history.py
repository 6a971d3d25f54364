"""Questions about the past: on SQLite and PostgreSQL, and over a real nats-server."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from eventually import eventually
from samples import benchmark_event, probe_event
from vedette import Client, identity
from vedette.bus import Bus
from vedette.errors import NoAnswer, RequestError
from vedette.events import AvailabilityHistory, Event, ModelProbed, PerformanceHistory, encode
from vedette.nats_server import NatsServer
from vedette.settings import Database, Settings
from vedette.testing import FakeClock
from vedette.types import ModelRef, Outcome
from vedette_recorder import app, queries
from vedette_recorder.answers import Answers
from vedette_recorder.history import Window
from vedette_recorder.record import Message, Row, rows_of
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MODEL = ModelRef("local", "smol lm/2:135m")
OTHER = ModelRef("local", "other")
HOUR = timedelta(hours=1)


def probe(at: datetime, outcome: Outcome = Outcome.OK, model: ModelRef = MODEL) -> ModelProbed:
    """Return a probe of a model that was down for its endpoint's sake, or up within 20 ms."""
    event = probe_event(model, at=at, job_id=identity.derive(at, str(model)))
    up = outcome is Outcome.OK
    sample = msgspec.structs.replace(
        event.sample, outcome=outcome, cause="model" if up else "endpoint", latency_ms=20.0 if up else 9000.0
    )
    return msgspec.structs.replace(event, sample=sample)


async def record(store: Store, *events: Event) -> None:
    """Write the history rows of *events*."""
    rows: list[Row] = []
    for n, event in enumerate(events):
        message = Message(
            stream="MODELS",
            stream_created_at=NOW,
            sequence=n,
            at=NOW,
            subject=event.subject,
            payload=encode(event),
        )
        rows += rows_of(event, message)
    assert await store.write(rows) == ()


async def ask(store: Store, kind: str, request: dict[str, object]) -> bytes:
    """Return the reply to a question about history, asked at NOW."""
    answers = Answers(store=store, clock=FakeClock(NOW))
    return await answers.answer(f"history.{kind}", msgspec.json.encode(request))


async def test_availability_is_told_of_one_model_in_one_window(store: Store) -> None:
    """What another model did, and what is before the window or at its end, is left out."""
    await record(
        store,
        probe(NOW - 25 * HOUR, Outcome.TIMEOUT),
        probe(NOW - 24 * HOUR),
        probe(NOW - 2 * HOUR, Outcome.REFUSED),
        probe(NOW - timedelta(microseconds=1)),
        probe(NOW, Outcome.TIMEOUT),
        probe(NOW - HOUR, Outcome.TIMEOUT, OTHER),
    )
    reply = await ask(store, "availability", {"model": MODEL, "buckets": 2})
    told = msgspec.json.decode(reply, type=AvailabilityHistory)
    assert (told.model, told.since, told.until) == (MODEL, NOW - 24 * HOUR, NOW)
    assert [bucket.counts for bucket in told.buckets] == [
        {Outcome.OK: 1},
        {Outcome.OK: 1, Outcome.REFUSED: 1},
    ]
    assert [bucket.latency_p95_ms for bucket in told.buckets] == [20, 20]
    assert (told.probes, told.uptime, told.down_by_cause) == (3, pytest.approx(2 / 3), {"endpoint": 1})


async def test_performance_is_told_benchmark_by_benchmark(store: Store) -> None:
    """With what the endpoint did besides, which is in a JSON column and may be absent from it."""
    quiet = benchmark_event(MODEL, at=NOW - 150 * HOUR, tps=40.0, ttft_ms=120.0)
    busy = benchmark_event(MODEL, at=NOW - HOUR, tps=20.0)
    busy = msgspec.structs.replace(busy, performance=msgspec.structs.replace(busy.performance, contended=2))
    await record(store, busy, quiet, benchmark_event(MODEL, at=NOW - 169 * HOUR, tps=1.0))
    reply = await ask(store, "performance", {"model": str(MODEL)})
    told = msgspec.json.decode(reply, type=PerformanceHistory)
    assert [(p.measured_at, p.output_tps, p.contended, p.n) for p in told.points] == [
        (NOW - 150 * HOUR, 40.0, 0, 6),
        (NOW - HOUR, 20.0, 2, 6),
    ]
    assert (told.points[0].ttft_ms, told.points[0].load_ms) == (120.0, None)


async def test_nothing_recorded_is_an_empty_answer(store: Store) -> None:
    """Not an error: the recorder does not know which models exist now."""
    request: dict[str, object] = {"model": "nowhere/nothing", "buckets": 3}
    up = msgspec.json.decode(await ask(store, "availability", request), type=AvailabilityHistory)
    fast = msgspec.json.decode(await ask(store, "performance", request), type=PerformanceHistory)
    assert (up.probes, up.uptime, len(up.buckets)) == (0, None, 3)
    assert fast.points == ()


async def test_more_rows_than_may_be_told_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said with the field to change; what is cut off would look like the model's silence."""
    monkeypatch.setattr(queries, "MOST_ROWS", 2)
    await record(store, *(probe(NOW - n * HOUR) for n in (1, 2, 3)))
    assert await ask(store, "availability", {"model": MODEL, "since": NOW - 2.5 * HOUR})
    with pytest.raises(RequestError, match="ask for less time") as caught:
        await ask(store, "availability", {"model": MODEL})
    assert (caught.value.code, caught.value.field) == ("too_large", "since")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "model"),
        ({"model": "no-slash"}, "model"),
        ({"model": "local/m", "buckets": 501}, "buckets"),
        ({"model": "local/m", "since": "2026-11-23T12:00:00"}, "since"),
        ({"model": "local/m", "untill": "2026-11-23T12:00:00Z"}, "untill"),
    ],
)
async def test_a_wrong_question_names_the_field(
    tmp_path: Path, request_: dict[str, object], field: str
) -> None:
    """Before the database is asked anything."""
    async with Store(f"sqlite+aiosqlite:///{tmp_path}/vedette.db") as store:
        with pytest.raises(RequestError) as caught:
            await ask(store, "performance", request_)
    assert caught.value.field == field


_PLANS = {
    "sqlite": ("ANALYZE", "EXPLAIN QUERY PLAN "),
    "postgresql": ("ANALYZE", "SET enable_bitmapscan = off", "EXPLAIN "),
}


async def test_both_queries_read_a_range_of_the_index(store: Store, url: str) -> None:
    """Endpoint, model and time come from it, and the order too: nothing is sorted."""
    times = [NOW - n * HOUR for n in range(1, 41)]
    models = [ModelRef("local", str(n)) for n in range(40)]
    await record(store, *(probe(at, model=model) for at in times for model in models))
    await record(store, *(benchmark_event(model, at=at, tps=1) for at in times for model in models))
    window = Window(since=NOW - 50 * HOUR, until=NOW, buckets=1)
    engine = create_async_engine(url)
    *preparations, explain = _PLANS[engine.dialect.name]
    async with engine.connect() as connection:
        for preparation in preparations:
            await connection.exec_driver_sql(preparation)
        for query in (queries.probes(models[0], window), queries.benchmarks(models[0], window)):
            literal = query.compile(engine.sync_engine, compile_kwargs={"literal_binds": True})
            plan = str((await connection.execute(sa.text(f"{explain}{literal}"))).all())
            assert "history_model" in plan, plan
            assert "Sort" not in plan, plan
            assert "TEMP B-TREE" not in plan, plan
    await engine.dispose()


async def test_a_database_out_of_reach_is_said_so(tmp_path: Path) -> None:
    """At once when it refuses."""
    async with Store(f"postgresql+asyncpg://user:secret@/vedette?host={tmp_path}") as store:
        with pytest.raises(NoAnswer, match="history cannot be read now") as caught:
            await ask(store, "availability", {"model": MODEL})
    assert caught.value.code == "unavailable"
    assert "secret" not in caught.value.message


async def test_a_silent_database_is_not_waited_for(tmp_path: Path) -> None:
    """It takes the connection and says nothing: the answer comes before the client gives up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with Store(f"postgresql+asyncpg://user@127.0.0.1:{port}/vedette") as store:
            async with asyncio.timeout(2):
                with pytest.raises(NoAnswer, match=r"longer than 1\.5 s"):
                    await ask(store, "availability", {"model": MODEL})


async def test_an_agent_asks_the_recorder(
    bus: Bus, server: NatsServer, settings: Settings, tmp_path: Path
) -> None:
    """What was published is told; what is wrong is an error with its field; no database, no answer."""
    file = tmp_path / "vedette.db"
    chosen = msgspec.structs.replace(settings, database=Database(url=f"sqlite+aiosqlite:///{file}"))
    now = datetime.now(UTC)
    async with app.serve(chosen), Client(server.url("agent")) as client:
        for event in (probe(now - HOUR), benchmark_event(MODEL, at=now - HOUR, tps=40.0)):
            await bus.js.publish(event.subject, encode(event))

        async def recorded() -> tuple[PerformanceHistory, AvailabilityHistory] | None:
            fast = await client.history_performance(MODEL)
            up = await client.history_availability(str(MODEL), since=now - 2 * HOUR, buckets=4)
            return (fast, up) if fast.points and up.probes else None

        fast, up = await eventually(recorded, what="recorded")
        assert fast.points[0].output_tps == 40.0
        assert (up.uptime, len(up.buckets), up.since) == (1.0, 4, now - 2 * HOUR)
        with pytest.raises(RequestError, match="500") as caught:
            await client.history_availability(MODEL, buckets=501)
        assert (type(caught.value), caught.value.field) == (RequestError, "buckets")

        engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
        async with engine.begin() as connection:
            await connection.execute(sa.text("DROP TABLE model_availability_history"))
        await engine.dispose()
        with pytest.raises(NoAnswer, match="cannot be read now") as caught:
            await client.history_availability(MODEL)
        assert caught.value.code == "unavailable"


async def test_without_a_recorder_that_is_what_is_said(server: NatsServer) -> None:
    """The service that would answer is named."""
    async with Client(server.url("agent")) as client:
        with pytest.raises(NoAnswer, match="is a recorder running"):
            await client.history_performance(MODEL)

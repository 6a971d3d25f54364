"""Questions about the past: on SQLite and PostgreSQL, and over a real nats-server."""

import asyncio
import random
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from eventually import eventually
from samples import benchmark_event, lifecycle_event, probe_event, recorded_rows
from vedette import Client
from vedette.bus.bus import Bus
from vedette.errors import NoAnswer, RequestError
from vedette.messages import ids
from vedette.messages.channels import QUERIES
from vedette.messages.codec import encode
from vedette.messages.events import Event, ModelProbed
from vedette.messages.queries import AvailabilityHistory, PerformanceHistory
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Database, Settings
from vedette.testing import FakeClock
from vedette.types import ModelRef, Outcome
from vedette_recorder import app, history, queries
from vedette_recorder.answers import Answers
from vedette_recorder.history import Window
from vedette_recorder.probes import Probes
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MODEL = ModelRef("local", "smol lm/2:135m")
OTHER = ModelRef("local", "other")
HOUR = timedelta(hours=1)


def probe(at: datetime, outcome: Outcome = Outcome.OK, model: ModelRef = MODEL) -> ModelProbed:
    """Return a probe of a model that was down for its endpoint's sake, or up within 20 ms."""
    event = probe_event(model, at=at, job_id=ids.derive(at, str(model)))
    up = outcome is Outcome.OK
    sample = msgspec.structs.replace(
        event.sample, outcome=outcome, cause="model" if up else "endpoint", latency_ms=20.0 if up else 9000.0
    )
    return msgspec.structs.replace(event, sample=sample)


async def record(store: Store, *events: Event) -> None:
    """Write the history rows of *events*."""
    assert await store.write(recorded_rows(events, at=NOW)) == ()


async def ask(store: Store, kind: str, request: dict[str, object]) -> Any:
    """Return the reply to a query of history, asked at NOW."""
    answers = Answers(store=store, clock=FakeClock(NOW))
    (query,) = (one for one in QUERIES if one.subject == f"history.{kind}")
    return msgspec.json.decode(
        await answers.answer(query.subject, msgspec.json.encode(request)), type=query.reply
    )


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
    told: AvailabilityHistory = await ask(store, "availability", {"model": MODEL, "buckets": 2})
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
    told: PerformanceHistory = await ask(store, "performance", {"model": str(MODEL)})
    assert [(p.measured_at, p.output_tps, p.contended, p.n) for p in told.points] == [
        (NOW - 150 * HOUR, 40.0, 0, 6),
        (NOW - HOUR, 20.0, 2, 6),
    ]
    assert (told.points[0].ttft_ms, told.points[0].load_ms) == (120.0, None)


async def test_an_endpoint_is_told_as_its_models_together(store: Store) -> None:
    """As many models' probes as there are, and none of another endpoint."""
    rng = random.Random(7)
    elsewhere = ModelRef("other", "m")
    models = [ModelRef("local", name) for name in "abc"]
    probes = []
    for model in [*models, elsewhere]:
        for _ in range(60):
            at = NOW - timedelta(seconds=rng.randrange(1, 25 * 3600), microseconds=rng.randrange(1_000_000))
            made = probe(
                at, rng.choice([Outcome.OK, Outcome.BUSY, Outcome.REFUSED, Outcome.RATE_LIMITED]), model
            )
            latency_ms = rng.choice([None, 10.0, rng.uniform(1, 500)])
            sample = msgspec.structs.replace(made.sample, latency_ms=latency_ms)
            probes.append(msgspec.structs.replace(made, sample=sample))
    found = [lifecycle_event("found", model, at=NOW - 48 * HOUR) for model in [*models, elsewhere]]
    edge = NOW - HOUR  # the first moment of a bucket, and the last of the one before
    probes += [probe(at, model=models[0]) for at in (edge, edge - timedelta(microseconds=1))]
    await record(store, *found, *probes)
    told: AvailabilityHistory = await ask(store, "availability", {"endpoint": "local", "buckets": 24})
    window = Window(since=NOW - 24 * HOUR, until=NOW, buckets=24)
    rows = [
        (event.at, event.sample.outcome, event.sample.cause, event.sample.latency_ms)
        for event in probes
        if event.model.endpoint == "local" and event.at >= window.since
    ]
    expected = history.availability(models[0], window, Probes.of(rows))
    assert (told.model, told.endpoint) == (None, "local")
    assert told.buckets == tuple(
        msgspec.structs.replace(
            bucket, latency_p50_ms=approx(bucket.latency_p50_ms), latency_p95_ms=approx(bucket.latency_p95_ms)
        )
        for bucket in expected.buckets
    )
    assert (told.probes, told.uptime, told.down_by_cause) == (
        expected.probes,
        expected.uptime,
        expected.down_by_cause,
    )


def approx(value: float | None) -> Any:
    """Return what a percentile may be: the last bit aside, the same."""
    return None if value is None else pytest.approx(value)


async def test_an_endpoint_s_benchmarks_are_told_together(store: Store) -> None:
    """In order of time, whichever model they were of."""
    await record(
        store,
        lifecycle_event("found", MODEL, at=NOW - 9 * HOUR),
        lifecycle_event("found", OTHER, at=NOW - 9 * HOUR),
        benchmark_event(MODEL, at=NOW - 3 * HOUR, tps=40.0),
        benchmark_event(OTHER, at=NOW - 2 * HOUR, tps=20.0),
        benchmark_event(MODEL, at=NOW - HOUR, tps=44.0),
    )
    told: PerformanceHistory = await ask(store, "performance", {"endpoint": "local"})
    assert (told.endpoint, told.model, told.benchmarks) == ("local", None, 3)
    assert [point.output_tps for point in told.points] == [40.0, 20.0, 44.0]


async def test_many_models_are_told_in_a_line_each(store: Store) -> None:
    """By name, page by page: uptime, causes, median latency, and the rate from first to last."""
    failed = benchmark_event(MODEL, at=NOW - HOUR, tps=99.0)
    await record(
        store,
        lifecycle_event("found", MODEL, at=NOW - 30 * HOUR),
        lifecycle_event("found", OTHER, at=NOW - 30 * HOUR),
        lifecycle_event("lost", OTHER, at=NOW - 2 * HOUR, revision=2),
        lifecycle_event("found", ModelRef("zoo", "z"), at=NOW - 30 * HOUR),
        probe(NOW - 3 * HOUR),
        probe(NOW - 2 * HOUR, Outcome.REFUSED),
        probe(NOW - 25 * HOUR, Outcome.REFUSED),
        benchmark_event(MODEL, at=NOW - 5 * HOUR, tps=40.0),
        benchmark_event(MODEL, at=NOW - 4 * HOUR, tps=50.0),
        benchmark_event(MODEL, at=NOW - 3 * HOUR, tps=30.0),
        msgspec.structs.replace(failed, outcome=Outcome.TIMEOUT),
    )
    first = await ask(store, "models", {"limit": 2})
    assert [one.model for one in first.models] == [OTHER, MODEL]
    lost, model = first.models
    assert (lost.lost_at, lost.probes, lost.uptime, lost.last) == (NOW - 2 * HOUR, 0, None, None)
    assert (model.lost_at, model.probes, model.uptime, model.down_by_cause) == (None, 2, 0.5, {"endpoint": 1})
    assert (model.latency_p50_ms, model.benchmarks, model.failed) == (20.0, 4, 1)
    assert (model.first, model.last, model.embeds) == (40.0, 30.0, False)
    assert first.next == MODEL
    last = await ask(store, "models", {"limit": 2, "after": first.next})
    assert ([one.model.name for one in last.models], last.next) == (["z"], None)

    async def asked(**request: object) -> list[str]:
        reply = await ask(store, "models", request)
        return [one.model.name for one in reply.models]

    assert await asked(endpoint="zoo") == ["z"]
    assert await asked(models=["zoo/z", MODEL]) == [MODEL.name, "z"]
    assert await asked(endpoint="nowhere") == []


async def test_nothing_recorded_is_an_empty_answer(store: Store) -> None:
    """Not an error: the recorder does not know which models exist now."""
    request: dict[str, object] = {"model": "nowhere/nothing", "buckets": 3}
    up: AvailabilityHistory = await ask(store, "availability", request)
    fast: PerformanceHistory = await ask(store, "performance", request)
    assert (up.probes, up.uptime, len(up.buckets)) == (0, None, 3)
    assert fast.points == ()


async def test_more_rows_than_may_be_told_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said with the field to change; what is cut off would look like the model's silence."""
    monkeypatch.setattr(queries, "MAX_PROBES", 2)
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
        ({"model": "local/m", "endpoint": "local"}, "endpoint"),
        ({"endpoint": "No Endpoint"}, "endpoint"),
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
        for query in (
            queries.unpacked(models[0], window.since, window.until),
            queries.benchmarks(models[0], window),
        ):
            literal = query.compile(engine.sync_engine, compile_kwargs={"literal_binds": True})
            plan = str((await connection.execute(sa.text(f"{explain}{literal}"))).all())
            assert "history_model" in plan, plan
            assert "Sort" not in plan, plan
            assert "TEMP B-TREE" not in plan, plan
    await engine.dispose()


_PLANS_OF_MANY = {
    "sqlite": ("ANALYZE", "EXPLAIN QUERY PLAN "),
    "postgresql": ("ANALYZE", "SET enable_seqscan = off", "EXPLAIN "),
}


async def test_questions_about_many_models_read_a_range_of_the_index_for_each(store: Store, url: str) -> None:
    """However many other models there are in that time."""
    times = [NOW - n * HOUR for n in range(1, 41)]
    models = [ModelRef(f"e{n % 20}", str(n)) for n in range(40)]
    await record(store, *(lifecycle_event("found", model, at=NOW - 50 * HOUR) for model in models))
    await record(store, *(probe(at, model=model) for at in times for model in models))
    await record(store, *(benchmark_event(model, at=at, tps=1) for at in times for model in models))
    window = Window(since=NOW - 50 * HOUR, until=NOW, buckets=24)
    engine = create_async_engine(url)
    *preparations, explain = _PLANS_OF_MANY[engine.dialect.name]
    few = models[:3]
    async with engine.connect() as connection:
        for preparation in preparations:
            await connection.exec_driver_sql(preparation)
        for query in (
            queries.unpacked(queries.some(few), window.since, window.until),
            queries.stale([(model, window.since) for model in few]),
            queries.benchmarked(queries.some(few), window),
            queries.unpacked("e0", window.since, window.until),
        ):
            literal = query.compile(engine.sync_engine, compile_kwargs={"literal_binds": True})
            plan = str((await connection.execute(sa.text(f"{explain}{literal}"))).all())
            assert "history_model" in plan, plan
            assert "history_measured_at" not in plan, plan
    await engine.dispose()


@pytest.mark.fault("database unreachable for a query", "I4")
async def test_a_database_out_of_reach_is_said_so(tmp_path: Path) -> None:
    """At once when it refuses."""
    async with Store(f"postgresql+asyncpg://user:secret@/vedette?host={tmp_path}") as store:
        with pytest.raises(NoAnswer, match="history cannot be read now") as caught:
            await ask(store, "availability", {"model": MODEL})
    assert caught.value.code == "unavailable"
    assert "secret" not in caught.value.message


@pytest.mark.fault("database does not reply to a query", "I4")
async def test_a_silent_database_is_not_waited_for(tmp_path: Path) -> None:
    """It takes the connection and says nothing: the answer comes before the client gives up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with Store(f"postgresql+asyncpg://user@127.0.0.1:{port}/vedette") as store:
            async with asyncio.timeout(60):
                with pytest.raises(NoAnswer, match=r"longer than 4 s"):
                    await ask(store, "availability", {"model": MODEL})


async def test_an_agent_asks_the_recorder(
    bus: Bus, server: NatsServer, settings: Settings, tmp_path: Path
) -> None:
    """What was published is told; what is wrong is an error with its field; no database, no answer."""
    file = tmp_path / "vedette.db"
    chosen = msgspec.structs.replace(settings, database=Database(url=f"sqlite+aiosqlite:///{file}"))
    now = datetime.now(UTC)
    async with app.serve(chosen), Client(server.url("agent"), timeout_s=60) as client:
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


@pytest.mark.fault("no recorder is there", "I4")
async def test_without_a_recorder_that_is_what_is_said(server: NatsServer) -> None:
    """The service that would answer is named."""
    async with Client(server.url("agent"), timeout_s=60) as client:
        with pytest.raises(NoAnswer, match="is a recorder running"):
            await client.history_performance(MODEL)

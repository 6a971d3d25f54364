"""Days of probes packed: the same is told before, in the midst and after, on SQLite and PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
import sqlalchemy as sa

from samples import lifecycle_event, probe_event, recorded_rows
from vedette.messages import ids
from vedette.messages.events import Event, ModelProbed
from vedette.testing import FakeClock
from vedette.types import ModelRef, Outcome
from vedette_recorder import daily_aggregates, tables
from vedette_recorder.answers import Answers
from vedette_recorder.probes import DAY, day_of
from vedette_recorder.record import Row
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MODELS = [ModelRef(endpoint, name) for endpoint in ("local", "other") for name in "abc"]
QUESTIONS: list[tuple[str, dict[str, object]]] = [
    ("availability", {"model": MODELS[0], "since": NOW - 5.3 * DAY, "buckets": 50}),
    ("availability", {"endpoint": "local", "since": NOW - 7 * DAY, "until": NOW - DAY / 2}),
    ("availability", {"endpoint": "other", "since": NOW - 3.1 * DAY, "until": NOW - 3 * DAY}),
    ("models", {"models": MODELS[2:5], "since": NOW - 6 * DAY}),
    ("asof", {"at": NOW - 1.5 * DAY}),
    ("asof", {"at": NOW}),
]


def probe(rng: Random, model: ModelRef, at: datetime) -> ModelProbed:
    """Return a probe of any outcome."""
    made = probe_event(model, at=at, job_id=ids.derive(at, str(model)))
    outcome = rng.choice([Outcome.OK, Outcome.OK, Outcome.BUSY, Outcome.REFUSED, Outcome.RATE_LIMITED])
    sample = msgspec.structs.replace(
        made.sample, outcome=outcome, latency_ms=rng.choice([None, rng.uniform(1, 500)])
    )
    return msgspec.structs.replace(made, sample=sample)


def probes(rng: Random, n: int, *, until: datetime = NOW) -> list[Event]:
    """Return *n* probes of any model in the week before *until*."""
    return [
        probe(rng, rng.choice(MODELS), until - timedelta(seconds=rng.uniform(1, 7 * 86_400)))
        for _ in range(n)
    ]


def rows(events: list[Event]) -> list[Row]:
    """Return the history rows of *events*."""
    return recorded_rows(events, at=NOW)


async def told(store: Store) -> list[bytes]:
    """Return the replies to all questions."""
    answers = Answers(store=store, clock=FakeClock(NOW))
    return [
        await answers.answer(f"history.{kind}", msgspec.json.encode(request)) for kind, request in QUESTIONS
    ]


async def empty(store: Store) -> int:
    """Return how many open days are to be packed."""
    where = tables.probe_days.c.probes.is_(None)
    return len(await store.read(sa.select(tables.probe_days.c.day).where(where)))


async def test_the_same_is_told_from_packed_days(store: Store) -> None:
    """Also of a day of which some models are packed and others are not yet."""
    rng = Random(1)
    await store.write(rows([lifecycle_event("found", model, at=NOW - 9 * DAY) for model in MODELS]))
    await store.write(rows(probes(rng, 600)))
    before = await told(store)
    assert await store.pack(NOW - 3 * DAY, batch=4) > 0
    assert await told(store) == before
    assert await store.pack(NOW) > 0
    assert await told(store) == before
    assert await store.count(tables.probe_days) == len(
        {
            (row["endpoint"], row["model"], day_of(row["measured_at"]))
            for row in await store.read(sa.select(tables.model_availability_history))
            if row["measured_at"] < day_of(NOW)
        }
    )
    assert await store.pack(NOW) == 0


async def _keep(*_: object) -> None:
    """Empty nothing."""


@pytest.mark.fault(
    "a probe comes after its day was packed", "I1", without=("vedette_recorder.daily_aggregates:empty", _keep)
)
async def test_a_late_probe_is_told_at_once_and_packed_later(store: Store) -> None:
    """Of a day, or of a model, that had no probe when its day was packed; one stored twice is still one."""
    rng = Random(2)
    await store.write(rows([lifecycle_event("found", model, at=NOW - 9 * DAY) for model in MODELS]))
    await store.write(rows([probe(rng, MODELS[0], NOW - 2 * DAY), probe(rng, MODELS[1], NOW - 4 * DAY)]))
    await store.pack(NOW)
    late = probes(rng, 100)
    await store.write(rows(late))
    await store.write(rows(late))
    assert await empty(store) > 0
    in_between = await told(store)
    await store.pack(NOW)
    assert await empty(store) == 0
    assert await told(store) == in_between
    # As one that never packed anything tells it.
    await store.delete(tables.probe_days, sa.true())
    assert await told(store) == in_between


@pytest.mark.fault("days packed by one while another stores", "I1")
async def test_what_is_stored_while_days_are_packed_is_told(store: Store) -> None:
    """By several at once."""
    rng = Random(3)
    await store.write(rows([lifecycle_event("found", model, at=NOW - 9 * DAY) for model in MODELS]))
    await store.write(rows(probes(rng, 200)))

    async def store_more() -> None:
        for _ in range(15):
            await store.write(rows(probes(rng, 10)))
            await asyncio.sleep(0)

    await asyncio.gather(
        store.pack(NOW, batch=3),
        store_more(),
        store.pack(NOW - DAY, batch=2),
        store_more(),
        store.pack(NOW, batch=1),
    )
    await store.pack(NOW)
    assert await empty(store) == 0
    packed = await told(store)
    await store.delete(tables.probe_days, sa.true())
    assert await told(store) == packed


async def test_a_probe_is_lost_to_packed_days_that_are_not_emptied(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above would see it."""
    rng = Random(4)
    await store.write(rows([probe(rng, MODELS[0], NOW - 2 * DAY)]))
    await store.pack(NOW)
    before = await told(store)
    monkeypatch.setattr(daily_aggregates, "empty", _keep)
    await store.write(rows([probe(rng, MODELS[0], NOW - 2 * DAY + timedelta(seconds=1))]))
    assert await told(store) == before


async def test_packed_days_go_when_they_are_too_old(store: Store) -> None:
    """The whole day, after its probes."""
    rng = Random(5)
    await store.write(rows([probe(rng, MODELS[0], NOW - n * DAY) for n in (2, 3, 4, 5)]))
    await store.pack(NOW)
    deleted = await store.delete_older_than(NOW - 3.5 * DAY)
    assert (deleted["model_availability_history"], deleted["probe_days"]) == (2, 1)

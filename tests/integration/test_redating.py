"""What a wrong clock dated in the future goes back to where it belongs, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from samples import lifecycle_event, probe_event
from vedette.messages.codec import encode
from vedette.messages.events import Event
from vedette.testing import FakeClock
from vedette.types import ModelRef
from vedette_recorder import tables
from vedette_recorder.answers import Answers
from vedette_recorder.record import Message, rows_of
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CREATED = NOW - timedelta(days=90)
MONTH, MINUTE = timedelta(days=31), timedelta(minutes=1)
MODEL = ModelRef("local", "m")
HISTORY = tables.model_availability_history


def probe(at: datetime) -> Event:
    """Return a probe of the model."""
    return probe_event(MODEL, at=at, job_id=at.isoformat())


async def record(store: Store, *events: Event, first: int = 1) -> None:
    """Store *events* as a recorder did that believed their dates: each stored when it says that it happened."""
    for sequence, event in enumerate(events, start=first):
        message = Message(
            stream="MODELS",
            stream_created_at=CREATED,
            sequence=sequence,
            at=event.at,
            subject=event.subject,
            payload=encode(event),
        )
        await store.write(rows_of(event, message))


async def times(store: Store) -> list[datetime]:
    """Return when the model was probed, in the order of the stream."""
    rows = await store.read(sa.select(HISTORY.c.measured_at).order_by(HISTORY.c.sequence))
    return [row["measured_at"] for row in rows]


@pytest.mark.fault(
    "a wrong clock dated history", "I1", "I2", without=("vedette_recorder.store:FUTURE", timedelta(days=4000))
)
@pytest.mark.parametrize("packed", [False, True])
async def test_probes_of_the_future_follow_those_before_them(store: Store, packed: bool) -> None:
    """Nothing is lost, the distances stay, and what is told of today has them; packed days that never were go."""
    start = NOW - timedelta(hours=1)
    await record(store, lifecycle_event("found", MODEL, at=start))
    await record(store, *(probe(start + n * MINUTE) for n in range(3)), first=2)
    await record(store, *(probe(start + MONTH + n * MINUTE) for n in range(3, 6)), first=5)
    await record(store, *(probe(start + n * MINUTE) for n in range(10, 12)), first=8)
    if packed:
        assert await store.pack(NOW + MONTH + timedelta(days=2)) > 0
    assert await store.redate(NOW) > 0
    assert await times(store) == [start + n * MINUTE for n in (0, 1, 2, 2, 3, 4, 10, 11)]
    (model,) = await store.read(sa.select(tables.model_info))
    assert model["last_seen_at"] <= NOW
    days = await store.read(sa.select(tables.probe_days))
    assert all(row["day"] <= NOW for row in days)
    answers = Answers(store=store, clock=FakeClock(NOW))
    told = await answers.answer("history.availability", b'{"model": "local/m"}')
    assert b'"probes":8' in told
    assert await store.redate(NOW) == 0


@pytest.mark.fault("all clocks are wrong together", "I1")
async def test_a_clock_that_is_behind_moves_no_history(store: Store) -> None:
    """All of it lies in the future then, and nothing was recorded before it."""
    await record(store, *(probe(NOW + MONTH + n * MINUTE) for n in range(3)))
    await record(store, probe(NOW), first=4)
    assert await store.redate(NOW) == 0
    assert await times(store) == [NOW + MONTH + n * MINUTE for n in range(3)] + [NOW]


async def test_a_little_ahead_is_not_the_future(store: Store) -> None:
    """Replicas' clocks differ by seconds."""
    await record(store, probe(NOW - MINUTE), probe(NOW + timedelta(seconds=5)))
    assert await store.redate(NOW) == 0


async def test_the_newest_hours_are_read_newest_first(store: Store) -> None:
    """One time of each hour in which something was recorded, and the oldest of all."""
    await record(store, *(probe(NOW - timedelta(minutes=30 * n)) for n in range(8, -1, -1)))
    known = await store.recorded(most_hours=3)
    assert known.oldest == NOW - timedelta(hours=4)
    assert known.hours == [NOW, NOW - timedelta(minutes=30), NOW - timedelta(minutes=90)]
    assert (await store.recorded(most_hours=3, since=NOW)).hours == []


async def test_a_database_that_has_a_clock_tells_it(store: Store, url: str) -> None:
    """PostgreSQL does; SQLite has that of this process."""
    shown = await store.time()
    assert (shown is None) == url.startswith("sqlite")
    assert shown is None or abs((shown - datetime.now(UTC)).total_seconds()) < 60

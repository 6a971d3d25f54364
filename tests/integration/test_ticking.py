"""When a ticker ticks."""

from datetime import UTC, datetime, timedelta

from vedette.bus.bus import Bus
from vedette.messages.events import Tick
from vedette_ticker.handlers import Ticker
from vedette_ticker.schedule import Interval

SLOT = datetime(2026, 12, 1, 12, 30, tzinfo=UTC)
EARLY, LATE = SLOT - timedelta(milliseconds=1), SLOT + timedelta(milliseconds=1)
SLOTS = Interval(1800.0)
SUBJECT = "schedule.availability"


class At:
    """A clock that stands still at `time`."""

    def __init__(self, time: datetime) -> None:
        self.time = time

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


async def test_a_timer_that_goes_off_early_skips_no_slot(bus: Bus) -> None:
    """The slot has come while the ticker asked the broker; it waited for the one after it."""
    clock = At(EARLY)
    ticker = Ticker(job="availability", slots=SLOTS, run_on_startup=False, bus=bus, clock=clock)
    assert await ticker.tick_if_due() == SLOT
    assert await bus.streams.last("SCHEDULE", SUBJECT) is None
    clock.time = LATE
    assert await ticker.tick_if_due() == SLOT + timedelta(seconds=SLOTS.period_s)
    held = await bus.streams.last("SCHEDULE", SUBJECT)
    assert held is not None
    assert isinstance(held.event, Tick)
    assert held.event.slot == SLOT

"""When a ticker ticks."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from leaping import leaping
from vedette.bus.bus import Bus
from vedette.messages.catalogue import Versioned
from vedette.messages.events import Tick
from vedette.testing import EPOCH, FakeClock
from vedette_ticker.handlers import Ticker
from vedette_ticker.schedule import Interval

SLOT = datetime(2026, 12, 1, 12, 30, tzinfo=UTC)
SLOTS = Interval(1800.0)
SUBJECT = "schedule.availability"
REPLY_S = 0.05


async def test_a_timer_that_goes_off_early_skips_no_slot(bus: Bus) -> None:
    """The slot has come while the ticker asked the broker; it waited for the one after it."""
    clock = FakeClock(SLOT - timedelta(milliseconds=1))
    ticker = Ticker(job="availability", slots=SLOTS, run_on_startup=False, bus=bus, clock=clock)
    assert await ticker.tick_if_due() == SLOT
    assert await bus.streams.last("SCHEDULE", SUBJECT) is None
    clock.advance(0.002)
    assert await ticker.tick_if_due() == SLOT + timedelta(seconds=SLOTS.period_s)
    held = await bus.streams.last("SCHEDULE", SUBJECT)
    assert held is not None
    assert isinstance(held.event, Tick)
    assert held.event.slot == SLOT


class _Slow:
    """A clock that loses a millisecond each second of the event loop: timers go off before their time."""

    def __init__(self) -> None:
        self._began = asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=0.999 * self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() - self._began


class _Broker:
    """A bus whose broker takes every tick, and replies after a moment."""

    def __init__(self) -> None:
        self.clock = self.publisher = self
        self.ticks: list[Tick] = []

    async def require_right(self) -> None:
        """Return: the clock is right."""

    async def advance(
        self, _stream: str, _subject: str, step: Callable[[Versioned[Tick] | None], Tick | None]
    ) -> Tick | None:
        """Take what *step* makes of the last tick."""
        replied = asyncio.Event()
        asyncio.get_running_loop().call_later(REPLY_S, replied.set)
        await replied.wait()
        tick = step(Versioned(len(self.ticks), self.ticks[-1]) if self.ticks else None)
        self.ticks += [tick] if tick is not None else []
        return tick


@leaping
async def test_by_a_slow_clock_each_slot_is_ticked_in_its_time() -> None:
    """Each timer goes off 30 ms before the slot, which comes while the broker is asked."""
    broker = _Broker()
    ticker = Ticker(
        job="availability",
        slots=Interval(30.0),
        run_on_startup=False,
        bus=broker,  # type: ignore[arg-type]
        clock=_Slow(),
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(600):
            await ticker.run()
    assert [tick.slot for tick in broker.ticks] == [EPOCH + timedelta(seconds=30 * n) for n in range(1, 20)]
    assert max(tick.at - tick.slot for tick in broker.ticks) < timedelta(seconds=1)

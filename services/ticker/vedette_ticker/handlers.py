"""Tick each job when its slot comes, by compare-and-set on the last tick."""

import asyncio
from datetime import datetime

import nats.errors

from vedette.bus.bus import Bus
from vedette.clock import Clock
from vedette.errors import ClockWrong, Conflict
from vedette.messages import ids
from vedette.messages.catalogue import Versioned
from vedette.messages.events import ScheduledJob, Tick
from vedette_ticker import metrics
from vedette_ticker.schedule import Cron, Interval, due

_MAX_SLEEP_S = 60.0  # a stepped or resumed clock is noticed within this
_RETRY_AFTER_S = 2.0


class Ticker:
    """Ticks one job. Of any number of replicas, exactly one wins each slot."""

    def __init__(
        self, *, job: ScheduledJob, slots: Interval | Cron, run_on_startup: bool, bus: Bus, clock: Clock
    ) -> None:
        self._job = job
        self._slots = slots
        self._run_on_startup = run_on_startup
        self._bus = bus
        self._clock = clock
        self._first_seen: datetime | None = None

    async def run(self) -> None:
        """Tick until cancelled; not while this process's clock is wrong."""
        now = self._clock.now()
        next_due = now if self._run_on_startup else self._slots.after(self._slots.slot(now))
        metrics.TICK_DUE.labels(self._job).set(next_due.timestamp())  # until the last tick is known
        while True:
            try:
                next_due = await self.tick_if_due()
            except ClockWrong:
                await asyncio.sleep(_RETRY_AFTER_S)  # said where the clock is compared
                continue
            except (nats.errors.Error, TimeoutError, Conflict) as error:
                # A stream without a leader, a full disk, a broker that is away: the tick is made up for.
                self._bus.log.warning("tick.failed", job=self._job, error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(_RETRY_AFTER_S)
                continue
            wait_s = (next_due - self._clock.now()).total_seconds()
            await asyncio.sleep(min(max(wait_s, 0.0), _MAX_SLEEP_S))

    async def tick_if_due(self) -> datetime:
        """Publish a due tick, unless another replica was first; return when the next one is due.

        A timer may fire a moment before a slot. Then that slot is the next one, even if it has begun when this returns.
        Raises ClockWrong.
        """
        await self._bus.clock.require_right()
        now = self._clock.now()
        first_seen = self._first_seen = self._first_seen or self._slots.slot(now)
        last = first_seen

        def step(held: Versioned[Tick] | None) -> Tick | None:
            nonlocal last
            last = held.event.slot if held else first_seen
            # Never ticked and not to run at start: the slot we began in counts as ticked.
            ticked = None if held is None and self._run_on_startup else last
            found = due(self._slots, now=now, last=ticked, run_on_startup=self._run_on_startup)
            return self._tick(*found, now, after=held.sequence if held else 0) if found else None

        made = await self._bus.publisher.advance("SCHEDULE", f"schedule.{self._job}", step)
        next_due = self._slots.after(made.slot if made else last)
        metrics.TICK_DUE.labels(self._job).set(next_due.timestamp())
        return next_due

    def _tick(self, slot: datetime, missed: int, now: datetime, *, after: int) -> Tick:
        # A clock that was set back brings a slot a second time: not with the id of the first, which the server drops.
        made = ids.derive(slot, "schedule", self._job, str(after))
        return Tick(id=made, at=now, job=self._job, slot=slot, missed=missed)

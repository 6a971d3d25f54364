"""Compares this process's clock with the NATS server's, before it schedules, dates events or deletes (ADR 0013).

`ComparedClock` is the `Clock` of every service. While it differs too much from the server's clock, `trouble` says so,
the bus publishes no event, and `now` returns the server's time, so that queries are still answered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import nats.errors
from msgspec import Struct

from vedette.clock import Clock
from vedette.errors import ClockWrong
from vedette.messages.tolerance import MAX_OFFSET_S

COMPARE_EVERY_S = 10.0
_MAX_ATTEMPTS = 3
REMEDY = "correct the wrong clock (NTP); Vedette then continues"

# Returns the time of another clock. Raises TimeoutError or nats.errors.Error if it does not reply.
AskTime = Callable[[], Awaitable[datetime]]


class Moment(Struct, frozen=True):
    """A reading of this process's two clocks at the same moment."""

    wall: datetime
    monotonic: float

    @classmethod
    def of(cls, clock: Clock) -> "Moment":
        """Return a reading of *clock*."""
        return cls(clock.now(), clock.monotonic())

    def stepped_s(self, later: "Moment") -> float:
        """Return by how many seconds the time of day was set between this reading and *later*."""
        return (later.wall - self.wall).total_seconds() - (later.monotonic - self.monotonic)


class Comparison(Struct, frozen=True, kw_only=True):
    """How far this process's clock was ahead of another clock (s), with an error of at most `uncertain_s`."""

    moment: Moment
    ahead_s: float
    uncertain_s: float

    def ahead_at(self, moment: Moment) -> float:
        """Return how far the clock is ahead at the later *moment* (s): the earlier difference, plus later steps."""
        return self.ahead_s + self.moment.stepped_s(moment)

    def is_wrong(self, moment: Moment) -> bool:
        """Return whether the difference at *moment* exceeds the limit, even after subtracting the uncertainty."""
        return abs(self.ahead_at(moment)) - self.uncertain_s > MAX_OFFSET_S


def compare(asked: Moment, other: datetime, answered: Moment) -> Comparison:
    """Return the comparison with the clock that showed *other* between the two readings [Cristian 1989]."""
    took_s = answered.monotonic - asked.monotonic
    # A paused process, or a clock that was set, makes the reading less certain.
    uncertain_s = max(took_s, abs((answered.wall - asked.wall).total_seconds())) / 2
    middle = asked.wall + (answered.wall - asked.wall) / 2
    return Comparison(moment=answered, ahead_s=(middle - other).total_seconds(), uncertain_s=uncertain_s)


async def compared(clock: Clock, ask: AskTime) -> Comparison | None:
    """Compare *clock* with the clock that *ask* reads; None if it does not reply, or too slowly."""
    for _ in range(_MAX_ATTEMPTS):
        asked = Moment.of(clock)
        try:
            other = await ask()
        except (TimeoutError, nats.errors.Error):
            return None
        comparison = compare(asked, other, Moment.of(clock))
        if comparison.uncertain_s <= MAX_OFFSET_S:
            return comparison
    return None


def in_words(ahead_s: float, other: str, effect: str = "nothing is scheduled, measured or deleted") -> str:
    """Return a sentence: how far this clock differs from that of *other*, the *effect*, and what to do."""
    side = "ahead of" if ahead_s > 0 else "behind"
    off = f"the clock of this process is {_duration(abs(ahead_s))} {side} that of {other}"
    return f"{off}: {effect} until they agree; {REMEDY}"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


class ComparedClock:
    """The clock *own*, compared with the NATS server's by *ask*: at first use, after a step, and every 10 s."""

    def __init__(self, own: Clock, ask: AskTime, *, log: Any) -> None:
        self._own = own
        self._ask = ask
        self._log = log
        self._last: Comparison | None = None
        self._turn = asyncio.Lock()
        self._said = False

    def now(self) -> datetime:
        """Return the time of day; while this process's own clock is wrong, the NATS server's."""
        now = Moment.of(self._own)
        if self._last is None or not self._last.is_wrong(now):
            return now.wall
        return now.wall - timedelta(seconds=self._last.ahead_at(now))

    def monotonic(self) -> float:
        """Return monotonic seconds; never affected by steps of the clock."""
        return self._own.monotonic()

    async def trouble(self) -> str | None:
        """Return the problem of this process's clock, or None if it may be used."""
        now = Moment.of(self._own)
        if self._last is None or abs(self._last.moment.stepped_s(now)) > MAX_OFFSET_S:
            await self._compare(since=now)
        last, now = self._last, Moment.of(self._own)
        if last is None:
            return "the time of the NATS server is not known yet"
        return in_words(last.ahead_at(now), "the NATS server") if last.is_wrong(now) else None

    async def require_right(self) -> None:
        """Return if this process's clock may date events, else raise ClockWrong."""
        if problem := await self.trouble():
            raise ClockWrong(problem=problem)

    async def until_right(self) -> None:
        """Wait until this process's clock may be used."""
        while await self.trouble():  # noqa: ASYNC110
            await asyncio.sleep(1.0)

    async def run(self, report: Callable[[float], object]) -> None:
        """Compare every 10 s; call *report* with the number of seconds that this clock is ahead."""
        while True:
            await self._compare(since=Moment.of(self._own))
            if self._last is not None:
                report(self._last.ahead_at(Moment.of(self._own)))
            await asyncio.sleep(COMPARE_EVERY_S)

    async def _compare(self, *, since: Moment) -> None:
        async with self._turn:
            if self._last is not None and self._last.moment.monotonic > since.monotonic:
                return  # another task has compared meanwhile
            self._last = await compared(self._own, self._ask) or self._last
        if self._last is not None:
            self._say(self._last)

    def _say(self, last: Comparison) -> None:
        """Log once when the clock becomes wrong, and once when it is right again."""
        now = Moment.of(self._own)
        ahead_s, wrong = last.ahead_at(now), last.is_wrong(now)
        if wrong and not self._said:
            problem = in_words(ahead_s, "the NATS server")
            self._log.error("clock.wrong", offset_s=round(ahead_s, 1), problem=problem)
        elif self._said and not wrong:
            self._log.warning("clock.recovered", offset_s=round(ahead_s, 1))
        self._said = wrong

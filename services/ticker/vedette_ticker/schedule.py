"""When a job is due: slots aligned to the epoch, so that every replica computes the same ones."""

from datetime import UTC, datetime, timedelta

from cronsim import CronSim

from vedette.messages.tolerance import is_future
from vedette.settings import is_cron, seconds


class Interval:
    """Slots every *period_s* seconds since the epoch."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s

    def slot(self, now: datetime) -> datetime:
        """Return the newest slot at or before *now*."""
        # In whole microseconds: float division would put some slots an instant off for some replicas.
        period_us = round(self.period_s * 1e6)
        now_us = (now - _EPOCH) // timedelta(microseconds=1)
        return _EPOCH + timedelta(microseconds=now_us // period_us * period_us)

    def after(self, slot: datetime) -> datetime:
        """Return the slot that follows *slot*."""
        return self.slot(slot) + timedelta(seconds=self.period_s)

    def missed(self, last: datetime, slot: datetime) -> int:
        """Return how many slots lie between the two, both left out."""
        return max(0, round((slot - last) / timedelta(seconds=self.period_s)) - 1)


class Cron:
    """Slots by five cron fields, in UTC."""

    def __init__(self, expression: str) -> None:
        self.expression = expression

    def slot(self, now: datetime) -> datetime:
        """Return the newest slot at or before *now*."""
        # The reversed iterator is exclusive of its start; a minute later includes the present one.
        start = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        return next(CronSim(self.expression, start, reverse=True))

    def after(self, slot: datetime) -> datetime:
        """Return the slot that follows *slot*."""
        return next(CronSim(self.expression, slot))

    def missed(self, last: datetime, slot: datetime) -> int:
        """Return how many slots lie between the two, both left out; at most a thousand are counted."""
        count, moment = 0, self.after(last)
        while moment < slot and count < _MAX_COUNTED:
            count, moment = count + 1, self.after(moment)
        return count


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_COUNTED = 1000


def parse(schedule: str | float) -> Interval | Cron:
    """Return the slots that a configured duration or cron expression gives."""
    return Cron(str(schedule)) if is_cron(schedule) else Interval(seconds(schedule))


def due(
    slots: Interval | Cron, *, now: datetime, last: datetime | None, run_on_startup: bool
) -> tuple[datetime, int] | None:
    """Return the slot to tick now and how many were missed before it, or None when nothing is due.

    After downtime, one tick is due for all missed slots. The very first tick is due at once, or at the next slot
    without *run_on_startup*. A *last* slot in the future comes from a wrong clock: then the present slot is due.
    """
    slot = slots.slot(now)
    if last is not None and is_future(last, now):
        return slot, 0
    if last is None:
        return (slot, 0) if run_on_startup else None
    if slot <= last:
        return None
    return slot, slots.missed(last, slot)

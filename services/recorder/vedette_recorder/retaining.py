"""Whether the current clock may delete history: recorded events must confirm it (ADR 0013). Pure.

Every clock can be wrong. On a laptop the process, the NATS server and SQLite share one, so all are wrong together.
Only the recorded times are left to compare with. A clock that jumps leaves a long break in them, and so does a machine
that was off. So after a long break nothing is deleted until some hours are recorded.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from msgspec import Struct

from vedette.messages.tolerance import is_future

_MAX_BREAK = timedelta(days=1)
_MAX_HOURS = 12
_PARTS = 4  # a gap, and the hours that confirm the clock, are at most one such part of the retention


class Recorded(Struct, frozen=True, kw_only=True):
    """The recorded times: the oldest event, and the newest hours with any event, newest first."""

    oldest: datetime | None
    hours: Sequence[datetime] = ()  # the newest event of each


class Decision(Struct, frozen=True):
    """The decision: delete everything before `cutoff`, or nothing, and why not."""

    cutoff: datetime | None
    refused: str = ""


def hours_needed(keep: timedelta) -> int:
    """Return how many hours must have been recorded since a long break, where *keep* is the retention."""
    return max(1, min(_MAX_HOURS, keep // timedelta(hours=1) // _PARTS))


def longest_break(keep: timedelta) -> timedelta:
    """Return how long nothing may have been recorded for the record still to be one."""
    return min(_MAX_BREAK, keep / _PARTS)


def decide(recorded: Recorded, *, now: datetime, keep: timedelta, trouble: str | None) -> Decision:
    """Return the decision for *now*; *trouble* is the clock's problem, by comparison with other clocks."""
    cutoff = now - keep
    if recorded.oldest is None or recorded.oldest >= cutoff:
        return Decision(cutoff)  # nothing is old
    if trouble:
        return Decision(None, trouble)
    newest = recorded.hours[0] if recorded.hours else recorded.oldest
    if is_future(newest, now):
        return Decision(None, f"the newest recorded event is of {newest:%Y-%m-%d %H:%M} UTC, after now")
    if now - newest > longest_break(keep):
        return Decision(None, f"nothing was recorded since {newest:%Y-%m-%d %H:%M} UTC")
    lived, broken_at = _lived(recorded.hours, longest_break(keep))
    if broken_at is not None and lived < hours_needed(keep):
        return Decision(
            None,
            f"nothing was recorded for long before {broken_at:%Y-%m-%d %H:%M} UTC: the machine was off, or the clock "
            f"jumped; that is known when {hours_needed(keep)} hours have been recorded since ({lived} so far)",
        )
    return Decision(cutoff)


def _lived(hours: Sequence[datetime], longest: timedelta) -> tuple[int, datetime | None]:
    """Return how many of *hours* came since the last break longer than *longest*, and when it ended."""
    for place, (later, earlier) in enumerate(pairwise(hours), start=1):
        if later - earlier > longest:
            return place, later
    return len(hours), None

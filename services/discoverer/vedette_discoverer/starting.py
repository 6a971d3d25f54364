"""When an endpoint that appeared is contacted again, because its server may still be starting. Pure."""

from datetime import datetime, timedelta
from typing import Final

from vedette.endpoints import look_again_s
from vedette.messages.events import Job
from vedette.messages.tolerance import is_within
from vedette.types import Origin, Outcome

# A source shows a Service before its pods are ready, and some servers load their weights for minutes.
STARTS_WITHIN: Final = timedelta(minutes=15)
_STARTING: Final = frozenset(
    {
        Outcome.REFUSED,
        Outcome.RESET,
        Outcome.UNREACHABLE,
        Outcome.TIMEOUT,
        Outcome.LOADING,
        Outcome.BUSY,
        Outcome.SERVER_ERROR,
    }
)


def contact_again_s(job: Job, outcome: Outcome, origin: Origin | None, now: datetime) -> float | None:
    """Return the seconds until *job* is tried again after a contact with *outcome*; None if it is not tried again.

    Only the first job of an endpoint from a source (*origin*) is, within STARTS_WITHIN. Others wait for their schedule.
    """
    appeared = origin is not None and origin.seen_as != ""
    may_start = job.cause == "start" and outcome in _STARTING and is_within(job.at, now, STARTS_WITHIN)
    return look_again_s(now - job.at) if appeared and may_start else None

"""When an endpoint that appeared is contacted again, because its server may still be starting. Pure."""

from datetime import datetime, timedelta
from typing import Final

from vedette.endpoints import look_again_s
from vedette.messages.events import Job
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
    """Return the seconds until *job* is tried again, whose contact ended with *outcome*; None if it is not.

    Only the first job of an endpoint that appeared (*origin*) is, for a while. Others wait for their schedule.
    """
    age = now - job.at
    appeared = origin is not None and origin.seen_as != ""
    if not appeared or job.cause != "start" or outcome not in _STARTING or age >= STARTS_WITHIN:
        return None
    return look_again_s(age)

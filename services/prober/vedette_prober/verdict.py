"""The verdict of one probe, and the health of a model by all its probes. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from vedette.messages.probe_times import is_late, probe_times
from vedette.messages.tolerance import is_future
from vedette.types import (
    NOT_DOWNTIME,
    Failure,
    Health,
    Outcome,
    ProbeSample,
    Published,
    Residency,
    Status,
    Tally,
)

OUTCOMES_KEPT = 20
FAILURES_KEPT = 20
HOURS_KEPT = 24
DAYS_KEPT = 30

_STATUS: dict[Outcome, Status] = {
    Outcome.OK: Status.AVAILABLE,
    Outcome.LOADING: Status.LOADING,
    Outcome.BUSY: Status.BUSY,
    Outcome.RATE_LIMITED: Status.RATE_LIMITED,
    Outcome.QUOTA_USED: Status.RATE_LIMITED,
    Outcome.AUTH_FAILED: Status.AUTH_FAILED,
    Outcome.NO_CREDIT: Status.AUTH_FAILED,
    Outcome.FORBIDDEN: Status.AUTH_FAILED,
    Outcome.NOT_FOUND: Status.NOT_FOUND,
    Outcome.UNSUPPORTED: Status.UNSUPPORTED,
    Outcome.BAD_REQUEST: Status.UNSUPPORTED,
    Outcome.SERVER_ERROR: Status.DEGRADED,
    Outcome.GARBAGE: Status.DEGRADED,
    Outcome.TOO_LARGE: Status.DEGRADED,
    Outcome.INCOMPLETE: Status.DEGRADED,
    Outcome.TIMEOUT: Status.UNREACHABLE,
    Outcome.REFUSED: Status.UNREACHABLE,
    Outcome.RESET: Status.UNREACHABLE,
    Outcome.UNREACHABLE: Status.UNREACHABLE,
}


_NOTHING_THERE = frozenset({Outcome.REFUSED, Outcome.UNREACHABLE})
# A limit, a wrong request or a model that is being loaded says the same in a few seconds.
_NOT_SUSPICIOUS = NOT_DOWNTIME | {Outcome.LOADING}


def verdict(sample: ProbeSample) -> Status:
    """Return the verdict of one *sample* alone."""
    if sample.outcome is Outcome.TIMEOUT and sample.cause == "model":
        return Status.DEGRADED  # its endpoint answers; this model alone does not
    return _STATUS[sample.outcome]


def needs_confirmation(outcome: Outcome, healths: Iterable[Health]) -> bool:
    """Return whether to probe again at once: nothing is there, and a model there still has another status.

    Results that alternate are still damped: a probe that reaches the server asks for no other.
    """
    return outcome in _NOTHING_THERE and any(one.status is not _STATUS[outcome] for one in healths)


def is_suspicious(health: Health) -> bool:
    """Return whether to probe a model again at once, because its last probe contradicts its status.

    For a new model, the first failure is such a probe. If the second probe agrees, the status changes. There is no
    third probe in either case.
    """
    last = health.outcomes[-1]
    if last.cause == "endpoint" or last.outcome in _NOT_SUSPICIOUS:
        return False
    latest = verdict(last)
    first_failure = len(health.outcomes) == 1 and latest is not Status.AVAILABLE
    return first_failure or (latest is not health.status and health.streak == 1)


def is_unusual(health: Health) -> bool:
    """Return whether to probe a model again at once: its last answer alone is slow, or as usual after slow ones."""
    return probe_times(health).is_open


def in_doubt(health: Health) -> Literal["status", "time"] | None:
    """Return what a second probe should confirm at once, because the last probe alone contradicts it.

    The status comes before the time of an answer. Second probes for a time are limited in number, because all models
    of a network may be slow at once. The limit also counts late answers of available models.
    """
    unusual = is_unusual(health)
    is_only_late = unusual and health.status is Status.AVAILABLE and is_late(health.outcomes[-1])
    if is_suspicious(health) and not is_only_late:
        return "status"
    return "time" if unusual else None


def fold(
    previous: Health | None,
    sample: ProbeSample,
    residency: Residency | None,
    *,
    failure: Failure | None = None,
    published: tuple[Published, ...] = (),
    confirm: int = 2,
    window: int = 2,
) -> Health:
    """Return the health after *sample*: the status changes when *confirm* of the last *window* agree.

    The first sample decides at once. If *confirm* is more than half of *window*, alternating results change nothing.
    *failure* is the transcript of a failed sample. Without new *published* figures, the last ones stay.
    """
    latest = verdict(sample)
    previous = without_future(previous, sample.at) if previous else None
    if previous is None:
        status, since, streak = latest, sample.at, 1
        outcomes: tuple[ProbeSample, ...] = (sample,)
    else:
        outcomes = (*previous.outcomes, sample)[-max(OUTCOMES_KEPT, window) :]
        recent = [verdict(s) for s in outcomes[-window:]]
        confirmed = recent.count(latest) >= confirm
        status = latest if confirmed else previous.status
        since = previous.since if status is previous.status else sample.at
        streak = _streak(outcomes)
    failures = (failure,) if failure else ()
    answered = sample.at if _answered(sample) else previous.answered_at if previous else None
    return Health(
        status=status,
        since=since,
        checked_at=max(sample.at, previous.checked_at) if previous else sample.at,
        answered_at=answered,
        streak=streak,
        outcomes=outcomes,
        hourly=_tally(previous.hourly if previous else (), sample, _hour(sample.at), HOURS_KEPT),
        daily=_tally(previous.daily if previous else (), sample, _day(sample.at), DAYS_KEPT),
        residency=_remembering(previous.residency if previous else None, residency),
        published=published or (previous.published if previous else ()),
        failures=((*previous.failures, *failures) if previous else failures)[-FAILURES_KEPT:],
    )


def without_future(health: Health, now: datetime) -> Health:
    """Return *health* without what a wrong clock dated after *now*: what was probed then counts for nothing."""
    if not is_future(health.checked_at, now):
        return health
    outcomes = tuple(sample for sample in health.outcomes if not is_future(sample.at, now))
    answered_at = health.answered_at
    return msgspec.structs.replace(
        health,
        since=min(health.since, now),
        checked_at=outcomes[-1].at if outcomes else min(health.since, now),
        answered_at=None if answered_at is None or is_future(answered_at, now) else answered_at,
        outcomes=outcomes,
        hourly=tuple(tally for tally in health.hourly if tally.start <= now),
        daily=tuple(tally for tally in health.daily if tally.start <= now),
        failures=tuple(failure for failure in health.failures if not is_future(failure.at, now)),
    )


def _remembering(before: Residency | None, residency: Residency | None) -> Residency | None:
    """Return *residency* with the context that the model was last served with, where it is not loaded now."""
    if residency is None or residency.context_tokens is not None or before is None:
        return residency
    return msgspec.structs.replace(residency, context_tokens=before.context_tokens)


def _answered(sample: ProbeSample) -> bool:
    return sample.outcome is Outcome.OK and sample.level == "answer"


def _streak(outcomes: Sequence[ProbeSample]) -> int:
    latest, count = verdict(outcomes[-1]), 0
    for sample in reversed(outcomes):
        if verdict(sample) is not latest:
            break
        count += 1
    return count


def _tally(tallies: tuple[Tally, ...], sample: ProbeSample, start: datetime, kept: int) -> tuple[Tally, ...]:
    by_start = {tally.start: tally.counts for tally in tallies}
    counts = by_start.get(start, {})
    by_start[start] = counts | {sample.outcome.value: counts.get(sample.outcome.value, 0) + 1}
    return tuple(Tally(start=at, counts=by_start[at]) for at in sorted(by_start))[-kept:]


def _hour(at: datetime) -> datetime:
    return at - timedelta(minutes=at.minute, seconds=at.second, microseconds=at.microsecond)


def _day(at: datetime) -> datetime:
    return _hour(at) - timedelta(hours=at.hour)

"""Outcomes of Vedette's own calls except probes: benchmarks, capability checks, evaluations. Pure.

Some probes only describe a model. These calls request an answer. So a call that fails is a failure of the model, even
if the model is listed.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from vedette.messages.catalogue import ModelState
from vedette.messages.queries import MeasuredCall
from vedette.types import NOT_DOWNTIME, UP, Health, Level, ModelInfo, Outcome, Tally


def _failed(call: MeasuredCall) -> bool:
    """Return whether the model failed. A wrong request, or a used-up quota, is no failure of the model."""
    return call.outcome not in UP | NOT_DOWNTIME


def measured_calls(state: ModelState) -> tuple[MeasuredCall, ...]:
    """Return the jobs of the present weights that are still held, oldest first."""
    # A benchmark counts once, by its last run: a job that fails makes one run, one that goes well makes seven.
    last = {sample.job_id: sample for sample in (state.performance.samples if state.performance else ())}
    found = [
        MeasuredCall(at=sample.at, purpose="benchmark", outcome=sample.outcome, detail=sample.detail)
        for sample in last.values()
    ]
    if state.verified is not None and state.is_own(state.verified):
        event = state.verified.event
        detail = next((attempt.detail for attempt in event.attempts if attempt.detail), None)
        found.append(
            MeasuredCall(at=event.at, purpose="capability check", outcome=event.outcome, detail=detail)
        )
    if state.evaluated is not None and state.quality is not None:
        evaluated = state.evaluated.event
        found.append(
            MeasuredCall(
                at=evaluated.at, purpose="evaluation", outcome=evaluated.outcome, detail=evaluated.detail
            )
        )
    return tuple(sorted(found, key=lambda call: call.at))


def all_failed(
    calls: Sequence[MeasuredCall], health: Health | None, *, reported: float = 0.0
) -> MeasuredCall | None:
    """Return the last of *calls* if every call ever made of the model failed, else None.

    A probe that was answered, and calls that callers *reported* to have succeeded, are calls that did not fail.
    """
    answered = (health is not None and health.answered_at is not None) or reported >= 1
    if answered or not calls or not all(map(_failed, calls)):
        return None
    return calls[-1]


def is_only_listed(info: ModelInfo, calls: Sequence[MeasuredCall], health: Health) -> bool:
    """Return whether only the listing shows that a model behind a gateway exists: no probe and no call showed more.

    Reports of callers do not count: they may move a score by one point, but a status moves it by thirty.
    """
    if (
        info.passed_on is None
        or health.answered_at is not None
        or any(call.outcome is Outcome.OK for call in calls)
    ):
        return False
    good = next((sample for sample in reversed(health.outcomes) if sample.outcome is Outcome.OK), None)
    return good is not None and good.level is Level.LIST


def with_calls(info: ModelInfo, calls: Sequence[MeasuredCall], health: Health | None) -> Health | None:
    """Return *health* with *calls* added to its tallies of probes, each in its hour and its day.

    Probes that saw only a gateway's listing do not show that the model is up: then only *calls* count.
    """
    if health is None:
        return None
    if is_only_listed(info, calls, health):
        health = msgspec.structs.replace(health, hourly=(), daily=())
    return msgspec.structs.replace(
        health,
        hourly=_counted(health.hourly, calls, timedelta(hours=1)),
        daily=_counted(health.daily, calls, timedelta(days=1)),
    )


def _counted(
    tallies: tuple[Tally, ...], calls: Iterable[MeasuredCall], width: timedelta
) -> tuple[Tally, ...]:
    by_start = {tally.start: dict(tally.counts) for tally in tallies}
    for call in calls:
        start = call.at.replace(minute=0, second=0, microsecond=0)
        start = start if width < timedelta(days=1) else start.replace(hour=0)
        counts = by_start.setdefault(start, {})
        counts[call.outcome.value] = counts.get(call.outcome.value, 0) + 1
    return tuple(Tally(start=start, counts=by_start[start]) for start in sorted(by_start))

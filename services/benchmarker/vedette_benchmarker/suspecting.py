"""Finds models that may have changed since they were measured, so that a small benchmark is due at once. Pure.

A model is suspected in these cases: reports show a change, or nearly one; two answers to probes took far longer than
usual, or one took far less; a server generates far fewer tokens for all its requests together than a single request
got; a model is available again; the last benchmark is far from the earlier ones.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from vedette.messages.catalogue import ModelState
from vedette.messages.changing import own_change
from vedette.messages.events import EndpointLoad
from vedette.messages.probe_times import MIN_PROBES, SLOW_TIMES, probe_times
from vedette.quantiles import quantile
from vedette.types import Health, Level, Outcome, Performance, Status

EVERY: Final = timedelta(minutes=10)  # at most one benchmark of a model by suspicion
_OLD: Final = timedelta(minutes=30)  # an older suspicion that was not followed up is dropped
# Consecutive readings of a server's load. Requests with pauses during a reading do not count as slow.
LOADS: Final = 6
_LOAD_TIMES: Final = 3.0  # how many times fewer tokens than one request at rest


class Suspicion(NamedTuple):
    """Why a model should be measured, and from when on."""

    why: str
    due: datetime


def suspicion(state: ModelState, now: datetime, loads: Sequence[EndpointLoad] = ()) -> Suspicion | None:
    """Return the suspicion about a model, or None. Models without a benchmark are measured anyway.

    *loads* are the last readings of its endpoint, the newest last.
    """
    performance = state.performance
    if performance is None or not state.present:
        return None
    reasons = (*_reasons(state, now), *_slow_under_load(state.model.name, performance, loads))
    found = [(at, why) for at, why in reasons if at > performance.measured_at and now - at <= _OLD]
    if not found and own_change(performance).any:
        found = [(now, "the last benchmark is far from those before it")]
    return Suspicion(max(found)[1], performance.measured_at + EVERY) if found else None


def _reasons(state: ModelState, now: datetime) -> Iterator[tuple[datetime, str]]:
    for signal, watch in state.watches.items():
        what = {"ttft": "TTFT", "speed": "output rate", "reliability": "failures"}[signal]
        if watch.level_at(now) and watch.heard_at is not None:
            yield watch.heard_at, f"reports show a change of its {what}"
        elif watch.changed_at is not None:
            yield watch.changed_at, f"reports show the end of a change of its {what}"
        if watch.suspected_at is not None:
            yield watch.suspected_at, f"reports may show a change of its {what}"
    health = state.health
    if health is None:
        return
    if health.status is Status.AVAILABLE and len(health.outcomes) > health.streak:
        yield health.since, "it is available again"
    times = probe_times(health)
    if times.ttft and times.at is not None:
        yield times.at, f"its last probes took {math.exp(times.ttft):.1f} times as long as usual"
    elif times.ended is not None:
        yield times.ended, "its probes take as long as usual again"
    if _is_faster(health):
        yield health.outcomes[-1].at, "a probe took a third of the usual time"


def worked_on(load: EndpointLoad) -> dict[str, float]:
    """Return the output tokens per second of each model that works for others, if *load* reports it."""
    if load.outcome is not Outcome.OK or load.own:
        return {}
    of_each = {
        name: one.output_tps
        for name, one in load.models.items()
        if one.running and one.output_tps is not None
    }
    if load.models or not load.running or load.output_tps is None or len(load.loaded or ()) != 1:
        return of_each
    return dict.fromkeys(load.loaded or (), load.output_tps)


def _slow_under_load(
    name: str, performance: Performance, loads: Sequence[EndpointLoad]
) -> Iterator[tuple[datetime, str]]:
    """Yield that a server is slow: in each reading, all requests together got far fewer tokens/s than one at rest."""
    rest = performance.output_tps.median if performance.output_tps else 0.0
    rates = [worked_on(load).get(name) for load in loads[-LOADS:]]
    known = [rate for rate in rates if rate]  # a server without output tokens only reads prompts
    if rest and len(known) == LOADS and max(known) * _LOAD_TIMES <= rest:
        yield loads[-1].at, f"its server writes {max(known):.1f} tokens/s at most while requests run"


def _is_faster(health: Health) -> bool:
    """Return whether the last answer to a probe took a third of the usual time at most."""
    took = [
        sample.latency_ms
        for sample in health.outcomes
        if sample.level is Level.ANSWER and sample.outcome is Outcome.OK and sample.latency_ms
    ]
    last = health.outcomes[-1] if health.outcomes else None
    if last is None or last.level is not Level.ANSWER or last.outcome is not Outcome.OK:
        return False
    return len(took) > MIN_PROBES and took[-1] * SLOW_TIMES <= quantile(took[:-1], 0.5)

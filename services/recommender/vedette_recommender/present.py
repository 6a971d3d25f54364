"""The current state of a model, compared to its figures at rest. Pure."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from vedette.messages.changing import OwnChange, measured_quietly_at, own_change
from vedette.messages.probe_times import ProbeTimes, probe_times
from vedette.types import CHANGE_HOLDS_S, Health, Performance, Signal, Watch

_REPORTED_SPREAD: Final = 0.3  # relative; of a change that callers report
_PROBED_SPREAD: Final = 0.3  # of a change that two probes show
_MEASURED_SPREAD: Final = 0.1  # of a change that a single benchmark shows


class Change(NamedTuple):
    """A detected change. Latencies: natural logarithms of "times slower than at rest"; failing: a share of calls."""

    ttft: float = 0.0
    speed: float = 0.0
    failing: float = 0.0
    spread: float = 0.0  # relative standard deviation of the latencies
    until: float = math.inf  # seconds since 1970, until when the latencies count, the speed no longer than
    speed_until: float = math.inf
    failing_until: float = -math.inf
    by: Literal["reports", "benchmark", "probes", ""] = ""  # of the latencies
    since: datetime | None = None

    @property
    def any(self) -> bool:
        """Whether anything changed."""
        return bool(self.ttft or self.speed or self.failing)


NONE: Final = Change()


def change_of(
    watches: Mapping[Signal, Watch], performance: Performance | None, health: Health | None = None
) -> Change:
    """Return the change of a model. The newest evidence counts, separately for latencies and for failures.

    Of reports, only a change for the worse counts, so that they make no model look faster than our measurements.
    """
    own = own_change(performance)
    probed = _by_probes(probe_times(health), own, performance)
    found = _by_reports(watches, performance.measured_at if performance else None)
    if found is None:
        found = probed[0] if probed else _by_benchmark(own)
    elif probed is not None and probed[1] >= _last_said([watches.get("ttft")]):
        found = _with_ttft(found, probed[0])
    failing = watches.get("reliability")
    if failing is None or failing.level <= 0.0 or failing.heard_at is None:
        return found
    until = failing.heard_at.timestamp() + CHANGE_HOLDS_S
    return found._replace(failing=min(1.0, failing.level), failing_until=until)


def _by_benchmark(own: OwnChange) -> Change:
    if not (own.ttft or own.speed):
        return NONE
    return Change(ttft=own.ttft, speed=own.speed, spread=_MEASURED_SPREAD, by="benchmark", since=own.at)


def _by_probes(
    times: ProbeTimes, own: OwnChange, performance: Performance | None
) -> tuple[Change, datetime] | None:
    """Return the change of the TTFT by probes, and its time; None if probes show no change.

    Two probes since the last benchmark at rest must show it.
    """
    quiet = measured_quietly_at(performance)
    if times.ended is not None and (quiet is None or quiet < times.ended):
        return _by_benchmark(own._replace(ttft=0.0)), times.ended
    said = times.since_last_two
    if times.since is None or times.at is None or said is None or (quiet is not None and quiet >= said):
        return None
    ttft = _delayed(times, performance)
    change = Change(ttft=ttft, speed=own.speed, spread=_PROBED_SPREAD, by="probes", since=times.since)
    return change, times.at


def _delayed(times: ProbeTimes, performance: Performance | None) -> float:
    """Return how many times longer a call takes with the delay of the last probes, as a logarithm.

    A wait in a queue is as long for a short prompt as for a long one. The prompt of a probe is shorter than the prompt
    of a benchmark, so the ratio of the probe itself would be too large.
    """
    usual_ms = times.usual_ms or 0.0
    rest_ms = performance.ttft_ms.median if performance and performance.ttft_ms else 0.0
    return math.log1p(usual_ms * math.expm1(times.ttft) / max(usual_ms, rest_ms))


def _by_reports(watches: Mapping[Signal, Watch], measured_at: datetime | None) -> Change | None:
    """Return the change of the latencies by reports; None if a benchmark is newer, or if there are no reports."""
    changed = [watch for signal in ("ttft", "speed") if (watch := watches.get(signal)) and watch.changed_at]
    if not changed:
        return None
    last = _last_said(changed)
    if measured_at is not None and measured_at >= last:
        return None
    ttft, speed = (
        max(0.0, one.level) if (one := watches.get(signal)) else 0.0 for signal in ("ttft", "speed")
    )
    if not (ttft or speed):
        return NONE
    return Change(
        ttft=ttft,
        speed=speed,
        spread=_REPORTED_SPREAD,
        until=last.timestamp() + CHANGE_HOLDS_S,
        speed_until=last.timestamp() + CHANGE_HOLDS_S,
        by="reports",
        since=max(watch.changed_at for watch in changed if watch.changed_at),
    )


def _with_ttft(reported: Change, probed: Change) -> Change:
    """Return the *reported* change with the TTFT that probes show: they say nothing of the speed."""
    if probed.ttft:
        return probed._replace(speed=reported.speed, speed_until=reported.speed_until)
    return reported._replace(ttft=0.0) if reported.speed else NONE


def _last_said(watches: Iterable[Watch | None]) -> datetime:
    """Return when reports last said so: a change goes on while they come, its end is of one moment."""
    said = (
        (one.heard_at if one.level > 0.0 else one.changed_at) for one in watches if one and one.changed_at
    )
    return max((at for at in said if at), default=datetime.min.replace(tzinfo=UTC))

"""Detects whether the answers to a model's probes take far longer than usual. Pure.

Two answers in a row decide, like two probes for a status. A single answer may have met another request.
"""

import math
from datetime import datetime
from typing import Final, NamedTuple

from vedette.quantiles import quantile
from vedette.types import Health, Level, Outcome, ProbeSample

SLOW_TIMES: Final = 3.0  # an answer is slow from this multiple of the usual time on
SETTLED_TIMES: Final = 1.5  # and usual again below this multiple: a gap, so that the state does not flap
_MIN_SLOWER_MS: Final = (
    200.0  # a smaller difference does not matter to agents, and is normal on busy machines
)
MIN_PROBES: Final = 4  # answers from which the usual time is known
# A probe waits for its first token this multiple of the usual time, and at least these seconds.
_PATIENCE_TIMES: Final = 5.0
MIN_PATIENCE_S: Final = 3.0


class ProbeTimes(NamedTuple):
    """What the last answers to probes show, if the usual time is known."""

    usual_ms: float | None = None
    ttft: float = 0.0  # natural logarithm of "times slower than usual", by the last two answers; 0: not slow
    since: datetime | None = None  # time of the first slow answer
    ended: datetime | None = None  # end of the last slow period: the time of the first usual answer
    since_last_two: datetime | None = None  # time of the last answer but one
    at: datetime | None = None  # time of the last answer
    is_open: bool = False  # only the last answer differs, so the next one decides

    @property
    def patience_s(self) -> float:
        """How long a probe waits for its first token (s); infinity if the usual time is unknown, or it is slow now."""
        if self.usual_ms is None or self.ttft:
            return math.inf
        return max(MIN_PATIENCE_S, _PATIENCE_TIMES * self.usual_ms / 1000)


def is_late(sample: ProbeSample) -> bool:
    """Return whether a probe was ended because no answer came for too long. A refusal (503) comes sooner."""
    return (
        sample.outcome is Outcome.BUSY
        and sample.level is Level.ANSWER
        and (sample.latency_ms or 0.0) >= MIN_PATIENCE_S * 1000
    )


def probe_times(health: Health | None) -> ProbeTimes:
    """Return the state of the time to first token, from the stored probes in *health*.

    A model that is slow in all stored probes counts as usual: by then its benchmarks show the new time.
    """
    answers = [one for one in health.outcomes if _counts(one)] if health else []
    if len(answers) <= MIN_PROBES:
        return ProbeTimes()
    usual = [_ms(one) for one in answers[:MIN_PROBES]]
    slow_since: datetime | None = None
    ended: datetime | None = None
    before: ProbeSample | None = None  # the single answer that differs
    for answer in answers[MIN_PROBES:]:
        middle = quantile(usual, 0.5)
        if slow_since is None and not _is_slow(answer, middle):
            usual.append(_ms(answer))
        if not (_is_slow if slow_since is None else _is_settled)(answer, middle):
            before = None
        elif before is None:
            before = answer
        else:
            slow_since, ended = (before.at, None) if slow_since is None else (None, before.at)
            before = None
    middle = quantile(usual, 0.5)
    is_open = before is answers[-1]
    times = min(_ms(one) for one in (answers[-3:-1] if is_open else answers[-2:])) / middle
    return ProbeTimes(
        usual_ms=middle,
        ttft=0.0 if slow_since is None else math.log(max(SETTLED_TIMES, times)),
        since=slow_since,
        ended=ended,
        since_last_two=answers[-2].at,
        at=answers[-1].at,
        is_open=is_open and health is not None and health.outcomes[-1] is before,
    )


def _counts(sample: ProbeSample) -> bool:
    answered = sample.outcome is Outcome.OK and sample.level is Level.ANSWER
    return bool(sample.latency_ms) and (answered or is_late(sample))


def _ms(sample: ProbeSample) -> float:
    return sample.latency_ms or 0.0


def _is_slow(sample: ProbeSample, usual_ms: float) -> bool:
    return _ms(sample) >= max(SLOW_TIMES * usual_ms, usual_ms + _MIN_SLOWER_MS)


def _is_settled(sample: ProbeSample, usual_ms: float) -> bool:
    return _ms(sample) < max(SETTLED_TIMES * usual_ms, usual_ms + _MIN_SLOWER_MS / 2)

"""Whether the answers to a model's probes take far longer than usual. Pure.

Two answers in a row decide, as two probes do about a status: one alone may have met another request.
"""

import math
from datetime import datetime
from typing import Final, NamedTuple

from vedette.quantiles import quantile
from vedette.types import Health, Level, Outcome, ProbeSample

SLOW_TIMES: Final = 3.0  # how many times longer than usual an answer takes at least if it is slow
SETTLED_TIMES: Final = 1.5  # and at most if it is as usual again, so that the state does not flap
_MIN_SLOWER_MS: Final = (
    200.0  # a smaller difference is of no use to any agent, and is what busy machines do anyway
)
MIN_PROBES: Final = 4  # answers that say what is usual
# A probe waits for its first token this number of times as long as usual, at least for these seconds.
_PATIENCE_TIMES: Final = 5.0
MIN_PATIENCE_S: Final = 3.0


class ProbeTimes(NamedTuple):
    """What the last answers to probes say, where what is usual is known."""

    usual_ms: float | None = None
    ttft: float = (
        0.0  # natural logarithm of "times slower than usual", by the last two answers; 0: it is not slow
    )
    since: datetime | None = None  # of the first answer of the slow ones
    ended: datetime | None = (
        None  # when it was slow for the last time: of the first answer that was as usual again
    )
    since_last_two: datetime | None = None  # when the last but one was asked
    at: datetime | None = None  # of the last answer
    is_open: bool = False  # the last answer alone says something else than those before it

    @property
    def patience_s(self) -> float:
        """How long a probe waits for its first token; for as long as it may where that is not known to be late."""
        if self.usual_ms is None or self.ttft:
            return math.inf
        return max(MIN_PATIENCE_S, _PATIENCE_TIMES * self.usual_ms / 1000)


def is_late(sample: ProbeSample) -> bool:
    """Return whether a probe got no answer for so long that it was ended; a refusal (503) comes sooner."""
    return (
        sample.outcome is Outcome.BUSY
        and sample.level is Level.ANSWER
        and (sample.latency_ms or 0.0) >= MIN_PATIENCE_S * 1000
    )


def probe_times(health: Health | None) -> ProbeTimes:
    """Return what the probes kept of a model say of the time to its first token.

    A model that is slow for all the probes kept is as usual: its benchmarks show it by then.
    """
    answers = [one for one in health.outcomes if _counts(one)] if health else []
    if len(answers) <= MIN_PROBES:
        return ProbeTimes()
    usual = [_ms(one) for one in answers[:MIN_PROBES]]
    slow_since: datetime | None = None
    ended: datetime | None = None
    before: ProbeSample | None = None  # the answer that alone says something else
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

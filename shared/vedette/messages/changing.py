"""Detects whether a model's last benchmark differs from its earlier ones. Pure."""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from vedette.quantiles import quantile
from vedette.types import Outcome, Performance, RunSample

# Servers vary by smaller factors between two benchmarks.
MIN_TIMES: Final = 1.5
_MIN_BEFORE = 3  # earlier runs, at least, to know the usual values


class OwnChange(NamedTuple):
    """The change in the last benchmark, as natural logarithms of "times slower"; 0: no change."""

    ttft: float = 0.0
    speed: float = 0.0
    at: datetime | None = None

    @property
    def any(self) -> bool:
        """Whether anything changed."""
        return bool(self.ttft or self.speed)


def own_change(performance: Performance | None) -> OwnChange:
    """Return how much the warm, undisturbed runs of the last benchmark differ from the rolling figures."""
    if performance is None or not performance.samples:
        return OwnChange()
    last = performance.samples[-1].job_id
    warm = [one for one in performance.samples if _counts(one)]
    new = [one for one in warm if one.job_id == last]
    old = [one for one in warm if one.job_id != last]
    return OwnChange(
        ttft=_slower(
            (one.ttft_ms for one in new if one.prompt == "short"),
            (one.ttft_ms for one in old if one.prompt == "short"),
            performance.ttft_ms.median if performance.ttft_ms else None,
        ),
        speed=-_slower(
            (one.output_tps for one in new),
            (one.output_tps for one in old),
            performance.output_tps.median if performance.output_tps else None,
        ),
        at=max((one.at for one in new), default=None),
    )


def measured_quietly_at(performance: Performance | None) -> datetime | None:
    """Return when a model was last measured while warm and without other requests; None if never."""
    samples = performance.samples if performance else ()
    return max((one.at for one in samples if _counts(one)), default=None)


def _counts(sample: RunSample) -> bool:
    return sample.outcome is Outcome.OK and not sample.cold and not sample.contended


def _slower(new: Iterable[float | None], old: Iterable[float | None], rolling: float | None) -> float:
    """Return the logarithm of the *new* median over *rolling*, if it is far from all *old* values; else 0."""
    now = [value for value in new if value]
    before = [value for value in old if value]
    if not now or not rolling or len(before) < _MIN_BEFORE:
        return 0.0
    median = quantile(now, 0.5)
    if max(median / rolling, rolling / median) < MIN_TIMES:
        return 0.0
    return math.log(median / rolling)

"""From rows of history to replies: windows, buckets, medians. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette.errors import RequestError
from vedette.messages.queries import (
    AvailabilityBucket,
    AvailabilityHistory,
    ModelSummary,
    PerformanceHistory,
    PerformancePoint,
)
from vedette.quantiles import quantile, quantile_of_ordered
from vedette.types import NOT_DOWNTIME, UP, ModelRef, Outcome, ProbeCause, uptime
from vedette_recorder.probes import ENDED, Ended, Probes, microseconds

# Nothing is kept longer: the most that `database.retention_days` takes.
MAX_WINDOW = timedelta(days=3650)
PERCENTS = (50, 95)
_FIGURES = ("output_tps", "ttft_ms", "ttft_cold_ms", "load_ms", "texts_per_s")
_figures = attrgetter(*_FIGURES)
_measured_at = attrgetter("measured_at")

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class Benchmark(Struct, frozen=True, array_like=True):
    """A row of `model_performance_history`, with the columns that replies use."""

    measured_at: datetime
    outcome: Outcome
    n: int
    contended: int
    output_tps: float | None
    ttft_ms: float | None
    ttft_cold_ms: float | None
    load_ms: float | None
    texts_per_s: float | None


class OfModel(Protocol):
    """A row that is about one model."""

    @property
    def endpoint(self) -> str:
        """Its endpoint."""
        ...

    @property
    def model(self) -> str:
        """Its name there."""
        ...


class Known(Struct, frozen=True, array_like=True):
    """A model with history, and when it was lost, if it was."""

    endpoint: str
    model: str
    lost_at: datetime | None


class Benchmarked(Struct, frozen=True, array_like=True):
    """How many benchmarks of a model there were, how many failed, and its rates after the first and last good one."""

    endpoint: str
    model: str
    benchmarks: int = 0
    failed: int = 0
    first_output_tps: float | None = None
    last_output_tps: float | None = None
    first_texts_per_s: float | None = None
    last_texts_per_s: float | None = None


def ref(row: OfModel) -> ModelRef:
    """Return which model *row* is about."""
    return ModelRef(row.endpoint, row.model)


class Window(Struct, frozen=True, kw_only=True):
    """The time from `since` until just before `until`, in buckets of equal length."""

    since: datetime
    until: datetime
    buckets: int

    def start(self, bucket: int) -> datetime:
        """Return the first microsecond of *bucket*."""
        # Rounded up, as `places` rounds down: a minus before and within the floor division.
        return self.since - (self.since - self.until) * bucket // self.buckets

    def places(self, probes: Probes) -> Integers:
        """Return the bucket of each of the *probes*, all of the window."""
        length = microseconds(self.until) - microseconds(self.since)
        return (probes.at - microseconds(self.since)) * self.buckets // length

    def split(self, rows: Sequence[Benchmark]) -> list[Sequence[Benchmark]]:
        """Return *rows*, all of the window and oldest first, bucket by bucket; those without any are left out."""
        ends = (bisect_left(rows, self.start(n), key=_measured_at) for n in range(self.buckets + 1))
        return [rows[first:last] for first, last in pairwise(ends) if first < last]


def window(
    since: datetime | None, until: datetime | None, buckets: int = 1, *, now: datetime, usual: timedelta
) -> Window:
    """Return the time from *since* to *until* in *buckets*; without them, as long as *usual*, up to *now*.

    Raises RequestError for a window that ends before it begins, or is longer than anything is kept.
    """
    ahead = "" if until else "; is the clock of the asking machine ahead?"
    until = utc(until or now, "since")
    try:
        since = utc(since or until - usual, "since")
    except OverflowError as error:
        raise _wrong("not a valid date in UTC") from error
    if since >= until:
        raise _wrong(f"{since:%Y-%m-%dT%H:%M:%SZ} is not before the end, {until:%Y-%m-%dT%H:%M:%SZ}{ahead}")
    if until - since > MAX_WINDOW:
        raise _wrong(f"more than {MAX_WINDOW.days} days before the end; history is not kept that long")
    return Window(since=since, until=until, buckets=buckets)


def utc(at: datetime, field: str) -> datetime:
    """Return the time *at* of a request's *field* in UTC. Raises RequestError where it is no date there."""
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise _wrong("not a valid date in UTC", field) from error


def _wrong(problem: str, field: str = "since") -> RequestError:
    return RequestError(code="invalid_value", message=f"{field}: {problem}", field=field)


def availability(of: ModelRef | str, window: Window, probes: Probes) -> AvailabilityHistory:
    """Return how a model, or those of an endpoint, answered the *probes* of the window, by bucket and in all."""
    bucket = window.places(probes)
    counts = counts_of(bucket, probes.ended, window.buckets)
    latencies = _latencies(bucket, probes, window.buckets)
    buckets = (
        _bucket(window.start(n), *of_bucket)
        for n, of_bucket in enumerate(zip(counts.tolist(), latencies, strict=True))
    )
    total = counted(counts.sum(axis=0).tolist())
    return AvailabilityHistory(
        **_subject(of),
        since=window.since,
        until=window.until,
        buckets=tuple(buckets),
        probes=len(probes),
        uptime=uptime(by_outcome(total)),
        down_by_cause=_down(total),
    )


def _subject(of: ModelRef | str) -> dict[str, Any]:
    return {"model": of} if isinstance(of, ModelRef) else {"model": None, "endpoint": of}


def _bucket(start: datetime, counts: Sequence[int], latencies: Floats) -> AvailabilityBucket:
    outcomes = by_outcome(counted(counts))
    p50, p95 = (_percentile(latencies, percent) for percent in PERCENTS)
    return AvailabilityBucket(
        start=start,
        probes=sum(outcomes.values()),
        counts=outcomes,
        uptime=uptime(outcomes),
        latency_p50_ms=p50,
        latency_p95_ms=p95,
    )


def counts_of(groups: Integers, ended: NDArray[np.uint8], n: int) -> Integers:
    """Return how many probes of each of *n* groups ended how: a row for a group, a column for a place in ENDED."""
    return np.bincount(groups * len(ENDED) + ended, minlength=n * len(ENDED)).reshape(n, len(ENDED))


def _latencies(groups: Integers, probes: Probes, n: int) -> list[Floats]:
    """Return the latencies of each of *n* groups in order."""
    timed = probes.timed
    groups, latencies = groups[timed], probes.latency_ms[timed]
    together = np.argsort(groups, kind="stable")
    split = np.split(latencies[together], np.searchsorted(groups[together], np.arange(1, n)))
    return [np.sort(of_group) for of_group in split]


def _percentile(ordered: Floats, percent: int) -> float | None:
    return float(quantile_of_ordered(ordered, percent / 100)) if ordered.size else None


def counted(counts: Sequence[int]) -> dict[Ended, int]:
    """Return the counts in the columns of `counts_of`, without zeros."""
    return {ended: n for ended, n in zip(ENDED, counts, strict=True) if n}


def by_outcome(counts: Mapping[Ended, int]) -> dict[Outcome, int]:
    """Return *counts* whatever the cause."""
    total: Counter[Outcome] = Counter()
    for (outcome, _), n in counts.items():
        total[outcome] += n
    return dict(total)


def _down(counts: Mapping[Ended, int]) -> dict[ProbeCause, int]:
    down: Counter[ProbeCause] = Counter()
    for (outcome, cause), n in counts.items():
        if outcome not in UP | NOT_DOWNTIME:
            down[cause] += n
    return dict(down)


def performance(of: ModelRef | str, window: Window, benchmarks: Sequence[Benchmark]) -> PerformanceHistory:
    """Return how fast a model, or those of an endpoint, were: a point per benchmark, or per bucket when there are more.

    *benchmarks* are those of the window, oldest first.
    """
    few = len(benchmarks) <= window.buckets
    groups = [[one] for one in benchmarks] if few else window.split(benchmarks)
    return PerformanceHistory(
        **_subject(of),
        since=window.since,
        until=window.until,
        points=tuple(_point(group) for group in groups),
        benchmarks=len(benchmarks),
    )


def _point(group: Sequence[Benchmark]) -> PerformancePoint:
    # A benchmark that failed measured nothing: its row repeats the figures of those before it.
    good = [benchmark for benchmark in group if benchmark.outcome is Outcome.OK]
    figures = zip(*map(_figures, good), strict=True) if good else ((),) * len(_FIGURES)
    return PerformancePoint(
        measured_at=group[-1].measured_at,
        outcome=group[-1].outcome,
        benchmarks=len(group),
        failed=len(group) - len(good),
        n=good[-1].n if good else 0,
        contended=good[-1].contended if good else 0,
        **dict(zip(_FIGURES, map(_median, figures), strict=True)),
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return quantile(known, 0.5) if known else None


def summaries(
    models: Iterable[Known], probes: Mapping[ModelRef, Probes], benchmarks: Iterable[Benchmarked]
) -> tuple[ModelSummary, ...]:
    """Return a line for each of the *models*, in their order, from the *probes* of the window and its benchmarks."""
    benchmarked = {ref(one): one for one in benchmarks}
    none = Probes.together(())
    return tuple(
        # Without an entry, the model was forgotten after it was asked for.
        _summary(
            one, probes.get(ref(one), none), benchmarked.get(ref(one), Benchmarked(one.endpoint, one.model))
        )
        for one in models
    )


def _summary(known: Known, probes: Probes, benchmarked: Benchmarked) -> ModelSummary:
    total = counted(np.bincount(probes.ended, minlength=len(ENDED)).tolist())
    embeds = benchmarked.last_texts_per_s is not None
    return ModelSummary(
        model=ref(known),
        lost_at=known.lost_at,
        probes=len(probes),
        uptime=uptime(by_outcome(total)),
        down_by_cause=_down(total),
        latency_p50_ms=_percentile(np.sort(probes.latency_ms[probes.timed]), 50),
        benchmarks=benchmarked.benchmarks,
        failed=benchmarked.failed,
        first=benchmarked.first_texts_per_s if embeds else benchmarked.first_output_tps,
        last=benchmarked.last_texts_per_s if embeds else benchmarked.last_output_tps,
        embeds=embeds,
    )

"""From rows of history to what is told of them: windows, buckets, medians. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from msgspec import Struct

from vedette.errors import RequestError
from vedette.events import (
    AvailabilityBucket,
    AvailabilityHistory,
    HistoryRequest,
    PerformanceHistory,
    PerformancePoint,
)
from vedette.quantiles import quantile
from vedette.types import NOT_DOWNTIME, UP, ModelRef, Outcome, ProbeCause, uptime

# Nothing is kept longer: the most that `database.retention_days` takes.
LONGEST_WINDOW = timedelta(days=3650)
_FIGURES = ("output_tps", "ttft_ms", "ttft_cold_ms", "load_ms", "texts_per_s")


class Measured(Struct, frozen=True, kw_only=True):
    """A row of history, with as much of it as is told."""

    measured_at: datetime
    outcome: Outcome


class Probe(Measured, frozen=True, kw_only=True):
    """A row of `model_availability_history`."""

    cause: ProbeCause
    latency_ms: float | None


class Benchmark(Measured, frozen=True, kw_only=True):
    """A row of `model_performance_history`."""

    n: int
    contended: int
    output_tps: float | None
    ttft_ms: float | None
    ttft_cold_ms: float | None
    load_ms: float | None
    texts_per_s: float | None


M = TypeVar("M", bound=Measured)


class Window(Struct, frozen=True, kw_only=True):
    """The time from `since` until just before `until`, in buckets of equal length."""

    since: datetime
    until: datetime
    buckets: int

    def start(self, bucket: int) -> datetime:
        """Return the first microsecond of *bucket*."""
        # Rounded up, as `bucket` rounds down: a minus before and within the floor division.
        return self.since - (self.since - self.until) * bucket // self.buckets

    def bucket(self, at: datetime) -> int:
        """Return the bucket that *at*, which is in the window, falls into."""
        return (at - self.since) * self.buckets // (self.until - self.since)

    def split(self, rows: Iterable[M]) -> dict[int, list[M]]:
        """Return *rows*, all of the window, by bucket; buckets without any are left out."""
        split: dict[int, list[M]] = defaultdict(list)
        for row in rows:
            split[self.bucket(row.measured_at)].append(row)
        return split


def window(request: HistoryRequest, *, now: datetime, usual: timedelta) -> Window:
    """Return what *request* asks for: up to *now* and as long as *usual*, unless it says otherwise.

    Raises RequestError for a window that ends before it begins, or is longer than anything is kept.
    """
    try:
        until = (request.until or now).astimezone(UTC)
        since = (request.since or until - usual).astimezone(UTC)
    except OverflowError as error:
        raise _wrong("a time that is no date in UTC") from error
    if since >= until:
        raise _wrong(f"{since:%Y-%m-%dT%H:%M:%SZ} is not before the end, {until:%Y-%m-%dT%H:%M:%SZ}")
    if until - since > LONGEST_WINDOW:
        raise _wrong(f"more than {LONGEST_WINDOW.days} days before the end; nothing is kept so long")
    return Window(since=since, until=until, buckets=request.buckets)


def _wrong(problem: str) -> RequestError:
    return RequestError(code="invalid_value", message=f"since: {problem}", field="since")


def availability(model: ModelRef, window: Window, probes: Sequence[Probe]) -> AvailabilityHistory:
    """Return how *model* answered the *probes* of the window, bucket by bucket and in all."""
    split = window.split(probes)
    down = Counter(probe.cause for probe in probes if probe.outcome not in UP | NOT_DOWNTIME)
    return AvailabilityHistory(
        model=model,
        since=window.since,
        until=window.until,
        buckets=tuple(_bucket(window.start(n), split.get(n, [])) for n in range(window.buckets)),
        probes=len(probes),
        uptime=uptime(_counted(probes)),
        down_by_cause=dict(down),
    )


def _bucket(start: datetime, probes: list[Probe]) -> AvailabilityBucket:
    counts = _counted(probes)
    # How long a failure took says how long somebody waited, not how fast the model is.
    latencies = [p.latency_ms for p in probes if p.outcome in UP and p.latency_ms is not None]
    return AvailabilityBucket(
        start=start,
        probes=len(probes),
        counts=counts,
        uptime=uptime(counts),
        latency_p50_ms=quantile(latencies, 0.5) if latencies else None,
        latency_p95_ms=quantile(latencies, 0.95) if latencies else None,
    )


def _counted(probes: Iterable[Probe]) -> dict[Outcome, int]:
    return dict(Counter(probe.outcome for probe in probes))


def performance(model: ModelRef, window: Window, benchmarks: Sequence[Benchmark]) -> PerformanceHistory:
    """Return how fast *model* was: a point per benchmark, or per bucket when there are more of them.

    *benchmarks* are those of the window, oldest first.
    """
    few = len(benchmarks) <= window.buckets
    groups = [[one] for one in benchmarks] if few else list(window.split(benchmarks).values())
    return PerformanceHistory(
        model=model,
        since=window.since,
        until=window.until,
        points=tuple(_point(group) for group in groups),
        benchmarks=len(benchmarks),
    )


def _point(group: list[Benchmark]) -> PerformancePoint:
    # A benchmark that failed measured nothing: its row repeats the figures of those before it.
    good = [benchmark for benchmark in group if benchmark.outcome is Outcome.OK]
    return PerformancePoint(
        measured_at=group[-1].measured_at,
        outcome=group[-1].outcome,
        benchmarks=len(group),
        failed=len(group) - len(good),
        n=good[-1].n if good else 0,
        contended=good[-1].contended if good else 0,
        **{name: _median(getattr(benchmark, name) for benchmark in good) for name in _FIGURES},
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return quantile(known, 0.5) if known else None

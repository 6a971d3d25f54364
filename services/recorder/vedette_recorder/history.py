"""From rows of history to what is told of them: windows, buckets, medians. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from vedette.errors import RequestError
from vedette.events import (
    AvailabilityBucket,
    AvailabilityHistory,
    HistoryRequest,
    ModelSummary,
    PerformanceHistory,
    PerformancePoint,
    SummariesRequest,
)
from vedette.quantiles import quantile
from vedette.types import NOT_DOWNTIME, UP, ModelRef, Outcome, ProbeCause, uptime

# Nothing is kept longer: the most that `database.retention_days` takes.
LONGEST_WINDOW = timedelta(days=3650)
PERCENTS = (50, 95)
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
K = TypeVar("K")
R = TypeVar("R")


class Counted(Struct, frozen=True, kw_only=True):
    """How many probes of a bucket, or of a model, ended so for that cause."""

    outcome: Outcome
    cause: ProbeCause
    n: int


class Ranked(Struct, frozen=True, kw_only=True):
    """A latency, its place from 0 among the `n` of its bucket or model, in order."""

    rank: int
    n: int
    latency_ms: float


class CountedInBucket(Counted, frozen=True, kw_only=True):
    """How many probes of a bucket ended so for that cause."""

    bucket: int


class RankedInBucket(Ranked, frozen=True, kw_only=True):
    """A latency among those of a bucket."""

    bucket: int


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


class Known(Struct, frozen=True, kw_only=True):
    """A model of which history is kept, and when it was lost if it is."""

    endpoint: str
    model: str
    lost_at: datetime | None


class CountedOfModel(Counted, frozen=True, kw_only=True):
    """How many probes of a model ended so for that cause."""

    endpoint: str
    model: str


class RankedOfModel(Ranked, frozen=True, kw_only=True):
    """A latency among those of a model."""

    endpoint: str
    model: str


class Benchmarked(Struct, frozen=True, kw_only=True):
    """How many benchmarks of a model there were, and how many failed."""

    endpoint: str
    model: str
    benchmarks: int
    failed: int


class Rate(Struct, frozen=True, kw_only=True):
    """How fast a model was after its `place`th good benchmark."""

    endpoint: str
    model: str
    place: int
    output_tps: float | None
    texts_per_s: float | None


def ref(row: OfModel) -> ModelRef:
    """Return which model *row* is about."""
    return ModelRef(row.endpoint, row.model)


About = TypeVar("About", bound=OfModel)


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


def window(request: HistoryRequest | SummariesRequest, *, now: datetime, usual: timedelta) -> Window:
    """Return what *request* asks for: up to *now* and as long as *usual*, unless it says otherwise.

    Raises RequestError for a window that ends before it begins, or is longer than anything is kept.
    """
    until = utc(request.until or now, "since")
    try:
        since = utc(request.since or until - usual, "since")
    except OverflowError as error:
        raise _wrong("a time that is no date in UTC") from error
    if since >= until:
        raise _wrong(f"{since:%Y-%m-%dT%H:%M:%SZ} is not before the end, {until:%Y-%m-%dT%H:%M:%SZ}")
    if until - since > LONGEST_WINDOW:
        raise _wrong(f"more than {LONGEST_WINDOW.days} days before the end; nothing is kept so long")
    return Window(since=since, until=until, buckets=getattr(request, "buckets", 1))


def utc(at: datetime, field: str) -> datetime:
    """Return the time *at* of a request's *field* in UTC. Raises RequestError where it is no date there."""
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise _wrong("a time that is no date in UTC", field) from error


def _wrong(problem: str, field: str = "since") -> RequestError:
    return RequestError(code="invalid_value", message=f"{field}: {problem}", field=field)


def availability(model: ModelRef, window: Window, probes: Sequence[Probe]) -> AvailabilityHistory:
    """Return how *model* answered the *probes* of the window, bucket by bucket and in all."""
    split = window.split(probes)
    buckets = (_bucket(window.start(n), split.get(n, [])) for n in range(window.buckets))
    return _availability(model, window, buckets, (counted(probe) for probe in probes))


def availability_at(
    endpoint: str, window: Window, counts: Sequence[CountedInBucket], latencies: Iterable[RankedInBucket]
) -> AvailabilityHistory:
    """Return how the models at *endpoint* answered, from how many probes ended how and what latencies they had."""
    counted = _grouped(counts, lambda one: one.bucket)
    ranked = _grouped(latencies, lambda one: one.bucket)
    buckets = (
        _told(window.start(n), _total(counted.get(n, ())), *_percentiles(ranked.get(n, ())))
        for n in range(window.buckets)
    )
    return _availability(endpoint, window, buckets, counts)


def counted(probe: Probe) -> Counted:
    """Return *probe* as a count of one."""
    return Counted(outcome=probe.outcome, cause=probe.cause, n=1)


def _availability(
    of: ModelRef | str, window: Window, buckets: Iterable[AvailabilityBucket], counts: Iterable[Counted]
) -> AvailabilityHistory:
    counts = tuple(counts)
    total = _total(counts)
    return AvailabilityHistory(
        **_subject(of),
        since=window.since,
        until=window.until,
        buckets=tuple(buckets),
        probes=sum(total.values()),
        uptime=uptime(total),
        down_by_cause=_down(counts),
    )


def _subject(of: ModelRef | str) -> dict[str, Any]:
    return {"model": of} if isinstance(of, ModelRef) else {"model": None, "endpoint": of}


def _bucket(start: datetime, probes: list[Probe]) -> AvailabilityBucket:
    # How long a failure took says how long somebody waited, not how fast the model is.
    latencies = [p.latency_ms for p in probes if p.outcome in UP and p.latency_ms is not None]
    p50, p95 = (quantile(latencies, percent / 100) if latencies else None for percent in PERCENTS)
    return _told(start, _total(map(counted, probes)), p50, p95)


def _told(
    start: datetime, counts: dict[Outcome, int], p50: float | None, p95: float | None
) -> AvailabilityBucket:
    return AvailabilityBucket(
        start=start,
        probes=sum(counts.values()),
        counts=counts,
        uptime=uptime(counts),
        latency_p50_ms=p50,
        latency_p95_ms=p95,
    )


def _total(counts: Iterable[Counted]) -> dict[Outcome, int]:
    total: Counter[Outcome] = Counter()
    for one in counts:
        total[one.outcome] += one.n
    return dict(total)


def _down(counts: Iterable[Counted]) -> dict[ProbeCause, int]:
    down: Counter[ProbeCause] = Counter()
    for one in counts:
        if one.outcome not in UP | NOT_DOWNTIME:
            down[one.cause] += one.n
    return dict(down)


def ranks(n: int, percent: int) -> tuple[int, int]:
    """Return between which two of *n* values in order a percentile lies: the places that the database looks up."""
    low = (n - 1) * percent // 100
    return low, min(low + 1, n - 1)


def _percentiles(ranked: Iterable[Ranked]) -> Iterator[float | None]:
    """Yield the PERCENTS of the values of which the *ranked* are those beside them, as `quantile` does."""
    beside = {one.rank: one for one in ranked}
    n = next((one.n for one in beside.values()), 0)
    for percent in PERCENTS:
        if not n:
            yield None
            continue
        low, high = (beside[rank].latency_ms for rank in ranks(n, percent))
        yield min(high, low + (high - low) * ((n - 1) * percent % 100) / 100)


def _grouped(rows: Iterable[R], key: Callable[[R], K]) -> dict[K, list[R]]:
    groups: dict[K, list[R]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def performance(of: ModelRef | str, window: Window, benchmarks: Sequence[Benchmark]) -> PerformanceHistory:
    """Return how fast a model, or those of an endpoint, were: a point per benchmark, or per bucket when there are more.

    *benchmarks* are those of the window, oldest first.
    """
    few = len(benchmarks) <= window.buckets
    groups = [[one] for one in benchmarks] if few else list(window.split(benchmarks).values())
    return PerformanceHistory(
        **_subject(of),
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


def summaries(
    models: Iterable[Known],
    counts: Iterable[CountedOfModel],
    latencies: Iterable[RankedOfModel],
    benchmarks: Iterable[Benchmarked],
    rates: Iterable[Rate],
) -> tuple[ModelSummary, ...]:
    """Return a line for each of the *models*, in their order."""
    by_model = _Grouping(counts=_by(counts), latencies=_by(latencies), rates=_by(rates))
    benchmarked = {ref(one): one for one in benchmarks}
    return tuple(_summary(one, by_model, benchmarked.get(ref(one))) for one in models)


class _Grouping(Struct, frozen=True, kw_only=True):
    counts: dict[ModelRef, list[CountedOfModel]]
    latencies: dict[ModelRef, list[RankedOfModel]]
    rates: dict[ModelRef, list[Rate]]


def _by(rows: Iterable[About]) -> dict[ModelRef, list[About]]:
    return _grouped(rows, ref)


def _summary(known: Known, of: _Grouping, benchmarked: Benchmarked | None) -> ModelSummary:
    counts = of.counts.get(ref(known), [])
    total = _total(counts)
    p50, _ = _percentiles(of.latencies.get(ref(known), ()))
    rates = sorted(of.rates.get(ref(known), ()), key=lambda rate: rate.place)
    embeds = any(rate.texts_per_s is not None for rate in rates)
    figures = [rate.texts_per_s if embeds else rate.output_tps for rate in rates]
    return ModelSummary(
        model=ref(known),
        lost_at=known.lost_at,
        probes=sum(total.values()),
        uptime=uptime(total),
        down_by_cause=_down(counts),
        latency_p50_ms=p50,
        benchmarks=benchmarked.benchmarks if benchmarked else 0,
        failed=benchmarked.failed if benchmarked else 0,
        first=figures[0] if figures else None,
        last=figures[-1] if figures else None,
        embeds=embeds,
    )

"""Figures of samples, and the fold that keeps the last samples. Pure, so that history can repeat it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from vedette.messages.tolerance import is_future
from vedette.quantiles import quantile
from vedette.types import Figure, Outcome, Performance, RunSample, Sweep

QUIET = 3  # from this number of undisturbed runs on, disturbed runs do not count
KEPT = 30  # samples for each prompt length, cold and warm


def figure(values: Iterable[float | None]) -> Figure | None:
    """Return the figure over the known *values*, or None if none is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    median = quantile(known, 0.5)
    return Figure(
        n=len(known),
        median=median,
        p95=quantile(known, 0.95),
        min=min(known),
        max=max(known),
        spread=(quantile(known, 0.75) - quantile(known, 0.25)) / median if median else 0.0,
    )


def fold(
    previous: Performance | None,
    samples: Sequence[RunSample],
    *,
    at: datetime,
    digest: str | None,
    server_version: str | None,
    sweep: Sweep | None = None,
) -> Performance:
    """Return the performance after *samples* were taken of the weights *digest*.

    With another digest, the figures start again. If the kept samples already contain this job, *previous* stays as it
    is, so that a redelivered job counts once, even if it was measured twice. *sweep* replaces the last sweep.
    """
    before = previous if previous is not None and previous.digest == digest else None
    # A sample with a date in the future (wrong clock) would count as the newest for long.
    known = tuple(
        msgspec.structs.replace(sample, at=at) if is_future(sample.at, at) else sample
        for sample in (before.samples if before else ())
    )
    jobs = {sample.job_id for sample in known}
    fresh = [sample for sample in samples if sample.job_id not in jobs]
    if before is not None and not fresh:
        return before
    performance = _performance(
        _last([*known, *fresh]), measured_at=at, digest=digest, server_version=server_version
    )
    return msgspec.structs.replace(performance, sweep=sweep or (before.sweep if before else None))


def _age(sample: RunSample) -> tuple[datetime, bytes]:
    """Return a sort key by time, then by content: a total order that does not depend on the order of arrival."""
    return sample.at, msgspec.json.encode(sample)


def _last(samples: Iterable[RunSample]) -> tuple[RunSample, ...]:
    """Return the last KEPT samples of each prompt length, cold and warm, oldest first."""
    groups: dict[tuple[str, bool], list[RunSample]] = defaultdict(list)
    for sample in sorted(samples, key=_age):
        groups[sample.prompt, sample.cold].append(sample)
    return tuple(sorted((sample for group in groups.values() for sample in group[-KEPT:]), key=_age))


def _performance(
    kept: tuple[RunSample, ...], *, measured_at: datetime, digest: str | None, server_version: str | None
) -> Performance:
    """Return the figures over the successes in *kept*; cold runs count only in the figures for cold runs."""
    successes = [sample for sample in kept if sample.outcome is Outcome.OK]
    short = _quiet(s for s in successes if not s.cold and s.prompt == "short")
    long = _quiet(s for s in successes if not s.cold and s.prompt == "long")
    warm, cold = [*short, *long], [sample for sample in successes if sample.cold]
    measured = [sample for sample in warm if sample.e2e_ms is not None]
    return Performance(
        measured_at=measured_at,
        n=len(measured),
        failures=sum(1 for sample in kept if _failed(sample)),
        contended=sum(1 for sample in measured if sample.contended),
        digest=digest,
        server_version=server_version,
        output_tps=figure(sample.output_tps for sample in warm),
        ttft_ms=figure(sample.ttft_ms for sample in short),
        ttft_long_ms=figure(sample.ttft_ms for sample in long),
        itl_ms=figure(sample.itl_p50_ms for sample in warm),
        e2e_ms=figure(sample.e2e_ms for sample in short),
        ttft_cold_ms=figure(sample.ttft_ms for sample in cold),
        load_ms=figure(sample.load_ms for sample in cold),
        texts_per_s=figure(sample.texts_per_s for sample in short),
        embedding_tps=figure(sample.embedding_tps for sample in warm),
        server_output_tps=figure(sample.server_output_tps for sample in warm),
        samples=kept,
    )


def _quiet(samples: Iterable[RunSample]) -> list[RunSample]:
    """Return the undisturbed *samples*; all samples while there are too few undisturbed ones."""
    known = list(samples)
    quiet = [sample for sample in known if not sample.contended]
    return quiet if len(quiet) >= QUIET else known


def _failed(sample: RunSample) -> bool:
    """Return whether the model failed. A refusal of the kind or the size of a request is not a failure."""
    return sample.outcome not in {Outcome.OK, Outcome.UNSUPPORTED} and sample.context_limit_tokens is None

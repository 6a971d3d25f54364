"""From rows of history back to the events that they came from, as far as they are kept. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from vedette.messages.channels import EVENTS as KINDS
from vedette.messages.codec import encode
from vedette.messages.events import (
    ModelBenchmarked,
    ModelChanged,
    ModelEvaluated,
    ModelEvent,
    ModelFound,
    ModelProbed,
    ModelReported,
)
from vedette.messages.queries import PastEvent, PastModel
from vedette.types import Health, ModelRef, ProbeSample, Tally
from vedette_recorder.history import by_outcome, counted, counts_of
from vedette_recorder.probes import Probes
from vedette_recorder.record import COPIED, RENAMED

Row = Mapping[str, Any]
E = TypeVar("E", bound=ModelEvent | ModelReported)
S = TypeVar("S", bound=Struct)
HOUR_S, DAY_S = 3600, 86_400
# The tallies of a model's health.
HOURS, DAYS = timedelta(hours=24), timedelta(days=30)
INSTANT = timedelta(microseconds=1)


class Tallies(Struct, frozen=True, kw_only=True):
    """A model's tallies, as `Health` has them."""

    hourly: tuple[Tally, ...] = ()
    daily: tuple[Tally, ...] = ()


def tallies(probes: Probes, at: datetime, found_at: datetime | None) -> Tallies:
    """Return the tallies at *at* of a model that was *found_at* then, from all its probes of the last DAYS."""
    return Tallies(
        hourly=_tally(probes.between(begin(at, HOURS, found_at), at + INSTANT), HOUR_S),
        daily=_tally(probes.between(begin(at, DAYS, found_at), at + INSTANT), DAY_S),
    )


def _tally(probes: Probes, length_s: int) -> tuple[Tally, ...]:
    spans, span = np.unique(probes.at // (length_s * 1_000_000), return_inverse=True)
    counts = counts_of(span, probes.ended, len(spans)).tolist()
    return tuple(
        Tally(start=datetime.fromtimestamp(start * length_s, UTC), counts=_by_name(of_span))
        for start, of_span in zip(spans.tolist(), counts, strict=True)
    )


def _by_name(counts: Sequence[int]) -> dict[str, int]:
    return {outcome.value: n for outcome, n in by_outcome(counted(counts)).items()}


def begin(at: datetime, back: timedelta, found_at: datetime | None) -> datetime:
    """Return from when on probes count in tallies at *at*: those since the model was *found_at*, and *back* at most."""
    return max(at - back, found_at) if found_at else at - back


def described(row: Row) -> ModelEvent:
    """Return the lifecycle event of a row of `model_info_history` that is no loss."""
    info = row["info"] | {
        "model": _model(row)
    }  # which has another name since, where its endpoint was renamed
    if row["event"] == "found" and row["reason"] != RENAMED:
        return _event(ModelFound, row, info=info, revision=row["revision"])
    return _event(ModelChanged, row, info=info, revision=row["revision"], changes=row["changes"] or ())


def probed(row: Row, tallies: Tallies) -> ModelProbed:
    """Return the probe of a row, with the health after it: its status, and *tallies* of what is recorded."""
    at = row["measured_at"]
    sample = _of(ProbeSample, row, "job_id", "outcome", "level", "latency_ms", "cause", "detail", at=at)
    health = msgspec.convert(
        {
            "status": row["status"],
            "since": row["status_since"],
            "checked_at": at,
            "residency": row["residency"],
            "published": row["published"] or (),
            "outcomes": (),
        },
        Health,
    )
    health = msgspec.structs.replace(health, outcomes=(sample,), hourly=tallies.hourly, daily=tallies.daily)
    return ModelProbed(id=row["event_id"], at=at, model=_model(row), sample=sample, health=health)


def benchmarked(row: Row) -> ModelBenchmarked:
    """Return the benchmark of a row, with the figures after it, without samples."""
    names = ("job_id", "outcome", "detail", "resident_before", "vram_share")
    return _event(ModelBenchmarked, row, *names, performance=row["figures"])


def evaluated(row: Row) -> ModelEvaluated:
    """Return the evaluation of a row, with the quality after it.

    What was recorded before the quality was kept has the scores of that evaluation alone.
    """
    alone = {
        "measured_at": row["measured_at"],
        "digest": row["digest"],
        "server_version": row["server_version"],
        "scores": row["scores"],
    }
    return _event(
        ModelEvaluated,
        row,
        "job_id",
        "outcome",
        "detail",
        "scores",
        claims=row["claims"] or {},
        took_s=row["took_s"] or 0.0,
        quality=row["quality"] or alone,
    )


def copied(kind: type[ModelEvent], fields: Sequence[str]) -> Callable[[Row], ModelEvent]:
    """Return the function that makes an event of *kind* from a row with its *fields*."""
    return lambda row: _event(kind, row, *fields)


def reported(row: Row) -> ModelReported:
    """Return callers' reports until then."""
    return _event(ModelReported, row, "calls", **row["figures"])


# The tables of which a model's last row becomes an event by itself.
EVENTS: dict[str, Callable[[Row], ModelEvent | ModelReported]] = {
    **{
        one.table: copied(kind, one.catalogued)
        for kind in KINDS
        if issubclass(kind, ModelEvent) and (one := COPIED.get(kind.TYPE)) and one.catalogued
    },
    "model_performance_history": benchmarked,
    "model_quality_history": evaluated,
    "model_reports": reported,
}


def models(
    present: Sequence[Row],
    found: Iterable[Row],
    probes: Iterable[Row],
    tallies: Callable[[ModelRef], Tallies],
    others: Mapping[str, Iterable[Row]],
) -> Iterator[PastModel]:
    """Yield the models whose last descriptions are the rows *present*, in that order, with all that is known of them.

    *others* are rows by table, of those in EVENTS.
    """
    events: dict[ModelRef, list[tuple[Row, ModelEvent | ModelReported]]] = {}
    for row in present:
        events[_model(row)] = [(row, described(row))]
    for row in found:
        before = events[_model(row)]
        if before[0][0]["event_id"] != row["event_id"]:
            before.append((row, described(row)))
    for row in probes:
        events[_model(row)].append((row, probed(row, tallies(_model(row)))))
    for table, rows in others.items():
        for row in rows:
            events[_model(row)].append((row, EVENTS[table](row)))
    for model, happened in events.items():
        happened.sort(key=lambda one: (one[0]["measured_at"], one[0]["sequence"]))
        yield PastModel(model=model, events=tuple(_past(row, event) for row, event in happened))


def _past(row: Row, event: ModelEvent | ModelReported) -> PastEvent:
    return PastEvent(subject=event.subject, sequence=row["sequence"], event=msgspec.Raw(encode(event)))


def _model(row: Row) -> ModelRef:
    return ModelRef(row["endpoint"], row["model"])


def _event(kind: type[E], row: Row, *same: str, **other: Any) -> E:
    return _of(kind, row, *same, id=row["event_id"], at=row["measured_at"], model=_model(row), **other)


def _of(kind: type[S], row: Row, *same: str, **other: Any) -> S:
    return msgspec.convert({name: row[name] for name in same} | other, kind)

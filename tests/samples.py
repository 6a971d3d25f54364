"""Events as tests need them: valid, small, with the parts that matter given by the caller."""

from collections.abc import Sequence
from datetime import datetime

from vedette.messages import ids
from vedette.messages.codec import encode
from vedette.messages.events import (
    AnswerChanged,
    AsOf,
    Event,
    Lifecycle,
    ModelBenchmarked,
    ModelChanged,
    ModelFound,
    ModelLost,
    ModelProbed,
    ModelRated,
    ModelReported,
)
from vedette.types import (
    Figure,
    Health,
    Level,
    ModelInfo,
    ModelRef,
    Outcome,
    Performance,
    ProbeSample,
    Rating,
    Reported,
    Status,
)
from vedette_recorder.record import Message, Row, rows_of


def model_info(model: ModelRef, **facts: object) -> ModelInfo:
    """Return a description with *facts* on top of the least there is."""
    return ModelInfo(**{"model": model, "provider": "ollama", "url": "http://h:1", "api": "ollama"} | facts)  # type: ignore[arg-type]


def lifecycle_event(
    kind: str, model: ModelRef, *, at: datetime, revision: int = 1, info: ModelInfo | None = None
) -> Lifecycle:
    """Return a found, changed or lost event."""
    common = {
        "id": ids.derive(at, kind, str(model), str(revision)),
        "at": at,
        "model": model,
        "info": info or model_info(model),
        "revision": revision,
    }
    if kind == "found":
        return ModelFound(**common)  # type: ignore[arg-type]
    if kind == "lost":
        return ModelLost(**common, reason="absent")  # type: ignore[arg-type]
    return ModelChanged(**common, changes=())  # type: ignore[arg-type]


def probe_event(
    model: ModelRef, *, at: datetime, job_id: str, before: tuple[ProbeSample, ...] = ()
) -> ModelProbed:
    """Return a successful probe on top of the samples *before*."""
    sample = ProbeSample(job_id=job_id, at=at, outcome=Outcome.OK, level=Level.ANSWER)
    health = Health(status=Status.AVAILABLE, since=at, checked_at=at, outcomes=(*before, sample))
    return ModelProbed(
        id=ids.derive(at, str(model), job_id), at=at, model=model, sample=sample, health=health
    )


def report_event(
    model: ModelRef, *, at: datetime, calls: int = 1, digest: str | None = None
) -> ModelReported:
    """Return reports of *calls* that succeeded, of a model of which nothing was reported before."""
    return ModelReported(
        id=ids.derive(at, "reported", str(model)),
        at=at,
        model=model,
        since=at,
        calls=calls,
        reported=Reported(as_of=at, digest=digest, calls=calls, succeeded=calls),
    )


def rating_event(model: ModelRef, *ratings: Rating, at: datetime) -> ModelRated:
    """Return that users vouch for a model by *ratings*."""
    made = ids.derive(at, "rated", str(model), *map(str, ratings))
    return ModelRated(id=made, at=at, model=model, ratings=ratings)


def winner_event(
    model: ModelRef | None, *, at: datetime, use_case: str = "chat", **facts: object
) -> AnswerChanged:
    """Return that *model* is the first winner of *use_case*, with *facts* on top."""
    return AnswerChanged(
        **{  # type: ignore[arg-type]
            "id": ids.derive(at, "answer", use_case, str(model)),
            "at": at,
            "use_case": use_case,
            "reason": "first",
            "model": model,
            "score": 50.0,
            "detail": "It is.",
            "as_of": AsOf(sequence=1, scored_at=at),
        }
        | facts
    )


def benchmark_event(model: ModelRef, *, at: datetime, tps: float, ttft_ms: float = 100.0) -> ModelBenchmarked:
    """Return a benchmark whose figures are *tps* and *ttft_ms* without spread."""
    speed, first = (
        Figure(n=6, median=value, p95=value, min=value, max=value, spread=0.0) for value in (tps, ttft_ms)
    )
    job_id = ids.derive(at, str(model), "benchmark", str(tps))
    return ModelBenchmarked(
        id=ids.derive(at, str(model), job_id),
        at=at,
        model=model,
        job_id=job_id,
        outcome=Outcome.OK,
        performance=Performance(measured_at=at, n=6, output_tps=speed, ttft_ms=first),
    )


def stored(event: Event, sequence: int, *, at: datetime) -> Message:
    """Return *event* as the message of that *sequence* of a stream that was made *at*, as the recorder reads it."""
    return Message(
        stream="MODELS",
        stream_created_at=at,
        sequence=sequence,
        at=at,
        subject=event.subject,
        payload=encode(event),
    )


def recorded_rows(events: Sequence[Event], *, at: datetime) -> list[Row]:
    """Return the rows that *events* become as the messages of a stream that was made *at*, in that order."""
    messages = (stored(event, n, at=at) for n, event in enumerate(events))
    return [row for event, message in zip(events, messages, strict=True) for row in rows_of(event, message)]

"""Converts a message to rows. Pure, so that a redelivered message gives the same rows."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import singledispatch
from typing import Final

import msgspec
from msgspec import Struct

from vedette.errors import UndecodableMessage
from vedette.messages.events import (
    EndpointObserved,
    Event,
    Formerly,
    Lifecycle,
    ModelBenchmarked,
    ModelChanged,
    ModelEvaluated,
    ModelEvent,
    ModelFound,
    ModelLost,
    ModelProbed,
    ModelReported,
)
from vedette.messages.tolerance import is_future
from vedette.types import UP, FieldChange, ModelRef

Values = dict[str, object]
# The reason of a row of `model_info_history` by which a model goes on under a new name.
RENAMED = "renamed"


class Message(Struct, frozen=True, kw_only=True):
    """A message in its stream. `at` is the time when the broker stored it.

    Sequences start at 1 again when a stream is recreated. So compare them only together with `stream_created_at`.
    """

    stream: str
    stream_created_at: datetime
    sequence: int
    at: datetime
    subject: str
    payload: bytes
    headers: Mapping[str, str] = {}


class Row(Struct, frozen=True, kw_only=True):
    """One row for the store, and the message it came from.

    `table` names a table, or `model_seen`: an update that moves a model's `last_seen_at` forward.
    """

    table: str
    values: Values
    message: Message


class Position(Struct, frozen=True, kw_only=True):
    """How far a stream has been recorded: everything up to `sequence`."""

    stream_created_at: datetime
    sequence: int


class CurrentRow(Struct, frozen=True, kw_only=True):
    """The place of the last recorded message on one of a model's subjects."""

    endpoint: str
    model: str
    stream: str
    stream_created_at: datetime
    subject: str
    sequence: int

    @property
    def ref(self) -> ModelRef:
        """The model."""
        return ModelRef(self.endpoint, self.model)

    @property
    def kind(self) -> str:
        """Which of the model's events it is: the second token of `model.<event>.…`."""
        return self.subject.split(".")[1]


class Gap(Struct, frozen=True, kw_only=True):
    """Messages that a stream dropped before they were recorded: at least `missing`, between two sequences."""

    stream: str
    stream_created_at: datetime
    first_sequence: int
    last_sequence: int
    missing: int
    at: datetime  # when it was noticed

    def with_all(self, others: Iterable["Gap"]) -> "Gap":
        """Return this gap and *others*, which overlap it, as one."""
        gaps = [self, *others]
        return msgspec.structs.replace(
            self,
            first_sequence=min(gap.first_sequence for gap in gaps),
            last_sequence=max(gap.last_sequence for gap in gaps),
            # Those that overlap have messages in common: the sum would count them twice.
            missing=max(gap.missing for gap in gaps),
            at=min(gap.at for gap in gaps),
        )


def rows_of(event: Event, message: Message) -> tuple[Row, ...]:
    """Return the rows of *event*, which came as *message*. Raises UndecodableMessage when they disagree."""
    if event.subject != message.subject:
        raise UndecodableMessage(subject=message.subject, problem=f"the payload belongs on {event.subject}")
    rows = [("current_state", _current_state(event, message)), *_history_of(event, message)]
    return tuple(Row(table=table, values=values, message=message) for table, values in rows)


def dead_letter(message: Message, reason: str, *, table: str = "") -> Row:
    """Return *message* as a dead letter; *table* names the one table that could not take its row.

    Whatever the message holds, a database can hold this: the payload stays bytes, texts are escaped.
    """
    values: Values = {
        "stream": message.stream,
        "stream_created_at": message.stream_created_at,
        "sequence": message.sequence,
        "table_name": table,
        "subject": _storable(message.subject),
        "at": message.at,
        "reason": _storable(reason),
        "headers": {_storable(key): _storable(value) for key, value in message.headers.items()},
        "payload": message.payload,
    }
    return Row(table="dead_letters", values=values, message=message)


def _storable(text: str) -> str:
    """Return *text* with characters escaped that databases cannot store (NUL, lone surrogates)."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _current_state(event: Event, message: Message) -> Values:
    model = event.model if isinstance(event, ModelEvent | ModelReported) else None
    return {
        "subject": message.subject,
        "endpoint": model.endpoint if model else getattr(event, "endpoint", None),
        "model": model.name if model else None,
        "stream": message.stream,
        "stream_created_at": message.stream_created_at,
        "sequence": message.sequence,
        "revision": event.revision if isinstance(event, Lifecycle) else None,
        "event_id": event.id,
        "at": _when(event, message),
        "headers": dict(message.headers),
        "payload": message.payload,
    }


def _history_of(event: Event, message: Message) -> Iterator[tuple[str, Values]]:
    if getattr(event, "renamed_from", None) is not None:
        return iter(())  # recorded under the former name, from where it moves
    return _rows(event, message)


class Copied(Struct, frozen=True):
    """The table of an event that is stored as it is: each of its fields in a column of the same name.

    A catalogue of the past needs the `catalogued` fields, not the `others`.
    """

    table: str
    catalogued: tuple[str, ...]
    others: tuple[str, ...] = ()


COPIED: Final = {
    "model.verified": Copied(
        "model_capability_history",
        ("job_id", "outcome", "digest", "claims", "embedding_dimensions"),
        others=("attempts",),
    ),
    "model.regressed": Copied(
        "model_regression_history", (), others=("job_id", "digest", "server_version", "before", "drops")
    ),
    "model.judged": Copied("model_judgement_history", ("job_id", "took_s", "judged"), others=("use",)),
    "model.rated": Copied("model_rating_history", ("ratings",)),
}


@singledispatch
def _rows(event: Event, message: Message) -> Iterator[tuple[str, Values]]:
    """Return the tables and the values of the rows of *event*, by its kind: none of one that is no history."""
    copied = COPIED.get(event.TYPE)
    if copied is None or not isinstance(event, ModelEvent):
        return iter(())
    fields = {name: getattr(event, name) for name in (*copied.catalogued, *copied.others)}
    return iter([(copied.table, {**_about_model(event, message), **fields})])


def _when(event: Event, message: Message) -> datetime:
    """Return when *event* happened; where a wrong clock dated it after the broker stored it, that is when."""
    return message.at if is_future(event.at, message.at) else event.at


def _about_model(event: ModelEvent | ModelReported, message: Message) -> Values:
    return {
        "event_id": event.id,
        "endpoint": event.model.endpoint,
        "model": event.model.name,
        "measured_at": _when(event, message),
        "sequence": message.sequence,
    }


@_rows.register
def _lifecycle(event: Lifecycle, message: Message) -> Iterator[tuple[str, Values]]:
    lost, at = isinstance(event, ModelLost), _when(event, message)
    formerly = event.formerly if isinstance(event, ModelFound) else None
    if formerly is not None:
        yield (
            "model_renames",
            {
                "event_id": event.id,
                "endpoint": event.model.endpoint,
                "model": event.model.name,
                "former_endpoint": formerly.model.endpoint,
                "at": at,
                "until": formerly.until,
                "replaced_at": formerly.replaced_at,
            },
        )
    if not (isinstance(event, ModelLost) and event.renamed_to):  # its history continues under the new name
        yield (
            "model_info_history",
            {
                **_about_model(event, message),
                "event": event.TYPE.removeprefix("model."),
                "revision": event.revision,
                "digest": event.info.digest,
                "reason": event.reason if isinstance(event, ModelLost) else (RENAMED if formerly else None),
                "changes": _changes(event, formerly),
                "info": event.info,
            },
        )
    yield (
        "model_info",
        {
            "endpoint": event.model.endpoint,
            "model": event.model.name,
            "stream_created_at": message.stream_created_at,
            "revision": event.revision,
            "event_id": event.id,
            "provider": event.info.provider,
            "kind": event.info.kind,
            "family": event.info.family,
            "digest": event.info.digest,
            "first_seen_at": formerly.found_at if formerly else at,
            "last_seen_at": None if lost else at,
            "lost_at": at if lost else None,
            "info": event.info,
        },
    )


def _changes(event: Lifecycle, formerly: Formerly | None) -> tuple[FieldChange, ...] | None:
    if formerly is not None:
        return (FieldChange(field="endpoint", old=formerly.model.endpoint, new=event.model.endpoint),)
    return event.changes if isinstance(event, ModelChanged) else None


@_rows.register
def _probed(event: ModelProbed, message: Message) -> Iterator[tuple[str, Values]]:
    sample, health = event.sample, event.health
    yield (
        "model_availability_history",
        {
            **_about_model(event, message),
            "job_id": sample.job_id,
            "outcome": sample.outcome,
            "level": sample.level,
            "cause": sample.cause,
            "latency_ms": sample.latency_ms,
            "status": health.status,
            "status_since": min(health.since, _when(event, message)),
            "resident": health.residency.resident if health.residency else None,
            "detail": sample.detail,
            "residency": health.residency,
            "published": health.published or None,
        },
    )
    if sample.outcome in UP:
        yield (
            "model_seen",
            {
                "of_endpoint": event.model.endpoint,
                "of_model": event.model.name,
                "seen_at": _when(event, message),
            },
        )


# The figures of Performance whose medians are columns.
_MEDIANS = (
    "output_tps",
    "ttft_ms",
    "ttft_long_ms",
    "ttft_cold_ms",
    "itl_ms",
    "e2e_ms",
    "load_ms",
    "texts_per_s",
    "embedding_tps",
)


@_rows.register
def _benchmarked(event: ModelBenchmarked, message: Message) -> Iterator[tuple[str, Values]]:
    performance = event.performance
    figures = {name: getattr(performance, name) for name in _MEDIANS}
    yield (
        "model_performance_history",
        {
            **_about_model(event, message),
            "job_id": event.job_id,
            "outcome": event.outcome,
            "detail": event.detail,
            "digest": performance.digest,
            "server_version": performance.server_version,
            "resident_before": event.resident_before,
            "vram_share": event.vram_share,
            "n": performance.n,
            "failures": performance.failures,
            "contended": performance.contended,
            **{name: figure.median if figure else None for name, figure in figures.items()},
            # Its rolling samples are left out: they are those of this row and of earlier ones.
            "figures": msgspec.structs.replace(performance, samples=()),
            "samples": event.samples,
        },
    )


@_rows.register
def _evaluated(event: ModelEvaluated, message: Message) -> Iterator[tuple[str, Values]]:
    yield (
        "model_quality_history",
        {
            **_about_model(event, message),
            "job_id": event.job_id,
            "outcome": event.outcome,
            "detail": event.detail,
            "digest": event.quality.digest,
            "server_version": event.quality.server_version,
            "requests": event.use.requests,
            "tokens": event.use.tokens,
            "took_s": event.took_s,
            "scores": event.scores,
            "misses": event.quality.misses,
            "claims": event.claims,
            "quality": msgspec.structs.replace(event.quality, misses=()),  # they are a column
        },
    )


@_rows.register
def _reported(event: ModelReported, message: Message) -> Iterator[tuple[str, Values]]:
    elsewhere = ("id", "at", "model", "calls", "included")
    yield (
        "model_reports",
        {
            **_about_model(event, message),
            "calls": event.calls,
            "failures": sum(event.failures.values()),
            "figures": {k: v for k, v in msgspec.structs.asdict(event).items() if k not in elsewhere},
        },
    )


@_rows.register
def _observed(event: EndpointObserved, message: Message) -> Iterator[tuple[str, Values]]:
    state = event.state
    yield (
        "endpoint_history",
        {
            "event_id": event.id,
            "endpoint": event.endpoint,
            "measured_at": _when(event, message),
            "sequence": message.sequence,
            "outcome": state.outcome,
            "latency_ms": state.latency_ms,
            "models": sum(not listed.misses for listed in state.listing),
            "server_version": state.server_version,
            "paused_until": state.paused_until,
            "detail": state.detail,
            # A listing can be long and is the same most of the time; current_state has the last one.
            "state": msgspec.structs.replace(state, listing=()),
        },
    )

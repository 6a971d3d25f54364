"""The tables of the recorder: SQLAlchemy Core, the same on SQLite and PostgreSQL.

Values for filters and charts have a column; all others are in JSON. The event id is the key of every history row, so a
message that arrives twice is stored once. `sequence` is the message's place in its stream.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

# All rows of an event have its id and its time: each is turned into the driver's once.
_OF_A_BATCH = 2048
_WITHOUT_OFFSET = len("2026-01-01 00:00:00.000000")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite stores it as text of fixed width, which sorts in the order of time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return *value* in UTC, as the database wants it. Raises ValueError for a naive time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """Return what turns a value into the driver's: for SQLite the text that SQLAlchemy writes, sooner."""
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)
        return lambda value: None if value is None else _text(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """Return what turns the driver's value into aware UTC, which asyncpg's is."""
        if dialect.name != "sqlite":
            return None
        return lambda text: None if text is None else datetime.fromisoformat(f"{text}Z")


@lru_cache(maxsize=_OF_A_BATCH)
def _text(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return value.astimezone(UTC).isoformat(" ", "microseconds")[:_WITHOUT_OFFSET]


_uuid = lru_cache(maxsize=_OF_A_BATCH)(UUID)


@lru_cache(maxsize=_OF_A_BATCH)
def _hex(value: str) -> str:
    return UUID(value).hex


class EventId(TypeDecorator[str]):
    """The id of an event: a UUID to the database, a text to all other code."""

    impl = sa.Uuid()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> UUID | None:
        """Return the UUID that *value* writes. Raises ValueError when it writes none."""
        return None if value is None else _uuid(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], Any] | None:
        """Return what turns a value into the driver's: for SQLite the text that SQLAlchemy writes, sooner."""
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)
        return lambda value: None if value is None else _hex(value)

    def process_result_value(self, value: UUID | None, dialect: Dialect) -> str | None:
        """Return the text of *value*."""
        return None if value is None else str(value)


# JSON for what is asked about, plain text JSON for what is only kept: JSONB refuses an escaped NUL.
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
KeptJson = sa.JSON(none_as_null=True)

metadata = sa.MetaData()


def _history(name: str, *columns: sa.Column[Any], covering: Sequence[str] = ()) -> sa.Table:
    """Return a table of events, each about a model; what is *covering* of many of them is in the index as well."""
    return sa.Table(
        name,
        metadata,
        sa.Column("event_id", EventId, primary_key=True),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("measured_at", UtcDateTime, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        *columns,
        sa.Index(f"ix_{name}_model", "endpoint", "model", "measured_at", *covering),
        sa.Index(f"ix_{name}_measured_at", "measured_at"),
    )


current_state = sa.Table(
    "current_state",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("endpoint", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("stream_created_at", UtcDateTime, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger),
    sa.Column("event_id", EventId, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("headers", KeptJson, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Index("ix_current_state_model", "endpoint", "model"),
)

model_info = sa.Table(
    "model_info",
    metadata,
    sa.Column("endpoint", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("stream_created_at", UtcDateTime, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("event_id", EventId, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("family", sa.Text),
    sa.Column("digest", sa.Text),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime),
    sa.Column("lost_at", UtcDateTime, index=True),
    sa.Column("info", Json, nullable=False),
)

model_info_history = _history(
    "model_info_history",
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("changes", Json),
    sa.Column("info", Json, nullable=False),
)

model_availability_history = _history(
    "model_availability_history",
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("latency_ms", sa.Double),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("status_since", UtcDateTime, nullable=False),
    sa.Column("resident", sa.Boolean),
    sa.Column("detail", sa.Text),
    sa.Column("residency", Json),
    sa.Column("published", Json),
)

# The probes of a model in a day that is over, once more and as one value: the history of a month is read from here.
# A day that has a row here, of any model, has one of every model that was probed in it, and so do all days
# before. Without `probes`, the day is to be packed (again).
_EMPTY = "probes IS NULL"
probe_days = sa.Table(
    "probe_days",
    metadata,
    sa.Column("endpoint", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("day", UtcDateTime, primary_key=True),
    sa.Column("probes", sa.LargeBinary),
    sa.Index("ix_probe_days_day", "day"),
    sa.Index("ix_probe_days_empty", "day", sqlite_where=sa.text(_EMPTY), postgresql_where=sa.text(_EMPTY)),
)

model_performance_history = _history(
    "model_performance_history",
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
    sa.Column("digest", sa.Text),
    sa.Column("server_version", sa.Text),
    sa.Column("resident_before", sa.Boolean),
    sa.Column("vram_share", sa.Double),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("contended", sa.BigInteger, nullable=False),
    sa.Column("output_tps", sa.Double),
    sa.Column("ttft_ms", sa.Double),
    sa.Column("ttft_long_ms", sa.Double),
    sa.Column("ttft_cold_ms", sa.Double),
    sa.Column("itl_ms", sa.Double),
    sa.Column("e2e_ms", sa.Double),
    sa.Column("load_ms", sa.Double),
    sa.Column("texts_per_s", sa.Double),
    sa.Column("embedding_tps", sa.Double),
    sa.Column("figures", Json, nullable=False),
    sa.Column("samples", Json, nullable=False),
    covering=(
        "outcome",
        "n",
        "contended",
        "output_tps",
        "ttft_ms",
        "ttft_cold_ms",
        "load_ms",
        "texts_per_s",
    ),
)

model_quality_history = _history(
    "model_quality_history",
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("digest", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("server_version", sa.Text),
    sa.Column("requests", sa.BigInteger),
    sa.Column("tokens", sa.BigInteger),
    sa.Column("took_s", sa.Double),
    sa.Column("scores", Json, nullable=False),
    sa.Column("misses", KeptJson),
    sa.Column("claims", Json),
    sa.Column("quality", Json),
)

model_judgement_history = _history(
    "model_judgement_history",
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("use", Json, nullable=False),
    sa.Column("took_s", sa.Double, nullable=False),
    sa.Column("judged", KeptJson, nullable=False),  # with texts of models, which nothing asks about
)

model_capability_history = _history(
    "model_capability_history",
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("digest", sa.Text),
    sa.Column("claims", Json, nullable=False),
    sa.Column("attempts", KeptJson, nullable=False),
    sa.Column("embedding_dimensions", sa.BigInteger),
)

model_regression_history = _history(
    "model_regression_history",
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("digest", sa.Text),
    sa.Column("server_version", sa.Text),
    sa.Column("before", Json, nullable=False),
    sa.Column("drops", Json, nullable=False),
)

model_rating_history = _history(
    "model_rating_history",
    sa.Column("ratings", Json, nullable=False),
)

model_reports = _history(
    "model_reports",
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("figures", Json, nullable=False),
)

# A model that an endpoint's new name goes on with; `renaming` moves what is recorded of it.
model_renames = sa.Table(
    "model_renames",
    metadata,
    sa.Column("event_id", EventId, primary_key=True),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False, index=True),
    sa.Column("former_endpoint", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("replaced_at", UtcDateTime),
)

endpoint_history = sa.Table(
    "endpoint_history",
    metadata,
    sa.Column("event_id", EventId, primary_key=True),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("measured_at", UtcDateTime, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("latency_ms", sa.Double),
    sa.Column("models", sa.BigInteger, nullable=False),
    sa.Column("server_version", sa.Text),
    sa.Column("paused_until", UtcDateTime),
    sa.Column("detail", sa.Text),
    sa.Column("state", Json, nullable=False),
    sa.Index("ix_endpoint_history_endpoint", "endpoint", "measured_at"),
    sa.Index("ix_endpoint_history_measured_at", "measured_at"),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("stream_created_at", UtcDateTime, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("headers", KeptJson, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)

ingest_position = sa.Table(
    "ingest_position",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("stream_created_at", UtcDateTime, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)

stream_gaps = sa.Table(
    "stream_gaps",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("stream_created_at", UtcDateTime, primary_key=True),
    sa.Column("first_sequence", sa.BigInteger, primary_key=True),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    sa.Column("missing", sa.BigInteger, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
)

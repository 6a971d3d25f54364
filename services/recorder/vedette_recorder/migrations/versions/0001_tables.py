"""Every table of the first release."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A migration keeps its own types: it must not change when the tables of a later release do.
TIME = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def _column(name: str, kind: sa.types.TypeEngine[Any], *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=null)


def _history(name: str, *columns: sa.Column[Any], of_model: bool = True) -> None:
    op.create_table(
        name,
        sa.Column("event_id", sa.Uuid(), primary_key=True),
        _column("endpoint", sa.Text()),
        *([_column("model", sa.Text())] if of_model else []),
        _column("measured_at", TIME),
        _column("sequence", sa.BigInteger()),
        *columns,
    )
    if of_model:
        op.create_index(f"ix_{name}_model", name, ["endpoint", "model", "measured_at"])
    else:
        op.create_index(f"ix_{name}_endpoint", name, ["endpoint", "measured_at"])
    op.create_index(f"ix_{name}_measured_at", name, ["measured_at"])


def _create_state() -> None:
    op.create_table(
        "current_state",
        sa.Column("subject", sa.Text(), primary_key=True),
        _column("endpoint", sa.Text(), null=True),
        _column("model", sa.Text(), null=True),
        _column("stream", sa.Text()),
        _column("stream_created_at", TIME),
        _column("sequence", sa.BigInteger()),
        _column("revision", sa.BigInteger(), null=True),
        _column("event_id", sa.Uuid()),
        _column("at", TIME),
        _column("headers", sa.JSON()),
        _column("payload", sa.LargeBinary()),
    )
    op.create_index("ix_current_state_model", "current_state", ["endpoint", "model"])
    op.create_table(
        "model_info",
        sa.Column("endpoint", sa.Text(), primary_key=True),
        sa.Column("model", sa.Text(), primary_key=True),
        _column("stream_created_at", TIME),
        _column("revision", sa.BigInteger()),
        _column("event_id", sa.Uuid()),
        _column("provider", sa.Text()),
        _column("kind", sa.Text()),
        _column("family", sa.Text(), null=True),
        _column("digest", sa.Text(), null=True),
        _column("first_seen_at", TIME),
        _column("last_seen_at", TIME, null=True),
        _column("lost_at", TIME, null=True),
        _column("info", JSON),
    )
    op.create_index("ix_model_info_lost_at", "model_info", ["lost_at"])


def _create_histories() -> None:
    _history(
        "model_info_history",
        _column("event", sa.Text()),
        _column("revision", sa.BigInteger()),
        _column("digest", sa.Text(), null=True),
        _column("reason", sa.Text(), null=True),
        _column("changes", JSON, null=True),
        _column("info", JSON),
    )
    _history(
        "model_availability_history",
        _column("job_id", sa.Text()),
        _column("outcome", sa.Text()),
        _column("level", sa.Text()),
        _column("cause", sa.Text()),
        _column("latency_ms", sa.Double(), null=True),
        _column("status", sa.Text()),
        _column("status_since", TIME),
        _column("resident", sa.Boolean(), null=True),
        _column("detail", sa.Text(), null=True),
        _column("residency", JSON, null=True),
    )
    _history(
        "model_performance_history",
        _column("job_id", sa.Text()),
        _column("outcome", sa.Text()),
        _column("detail", sa.Text(), null=True),
        _column("digest", sa.Text(), null=True),
        _column("server_version", sa.Text(), null=True),
        _column("resident_before", sa.Boolean(), null=True),
        _column("vram_share", sa.Double(), null=True),
        _column("n", sa.BigInteger()),
        _column("failures", sa.BigInteger()),
        _column("output_tps", sa.Double(), null=True),
        _column("ttft_ms", sa.Double(), null=True),
        _column("ttft_long_ms", sa.Double(), null=True),
        _column("ttft_cold_ms", sa.Double(), null=True),
        _column("itl_ms", sa.Double(), null=True),
        _column("e2e_ms", sa.Double(), null=True),
        _column("load_ms", sa.Double(), null=True),
        _column("texts_per_s", sa.Double(), null=True),
        _column("embedding_tps", sa.Double(), null=True),
        _column("figures", JSON),
        _column("samples", JSON),
    )
    _history(
        "model_quality_history",
        _column("job_id", sa.Text()),
        _column("outcome", sa.Text()),
        _column("digest", sa.Text(), null=True),
        _column("scores", JSON),
    )
    _history(
        "model_reports",
        _column("calls", sa.BigInteger()),
        _column("failures", sa.BigInteger()),
        _column("figures", JSON),
    )
    _history(
        "endpoint_history",
        _column("outcome", sa.Text()),
        _column("latency_ms", sa.Double(), null=True),
        _column("models", sa.BigInteger()),
        _column("server_version", sa.Text(), null=True),
        _column("paused_until", TIME, null=True),
        _column("detail", sa.Text(), null=True),
        _column("state", JSON),
        of_model=False,
    )


def _create_ingest() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("stream_created_at", TIME, primary_key=True),
        sa.Column("sequence", sa.BigInteger(), primary_key=True),
        sa.Column("table_name", sa.Text(), primary_key=True),
        _column("subject", sa.Text()),
        _column("at", TIME),
        _column("reason", sa.Text()),
        _column("headers", sa.JSON()),
        _column("payload", sa.LargeBinary()),
    )
    op.create_index("ix_dead_letters_at", "dead_letters", ["at"])
    op.create_table(
        "ingest_position",
        sa.Column("stream", sa.Text(), primary_key=True),
        _column("stream_created_at", TIME),
        _column("sequence", sa.BigInteger()),
    )
    op.create_table(
        "stream_gaps",
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("stream_created_at", TIME, primary_key=True),
        sa.Column("first_sequence", sa.BigInteger(), primary_key=True),
        _column("last_sequence", sa.BigInteger()),
        _column("at", TIME),
    )
    op.create_index("ix_stream_gaps_at", "stream_gaps", ["at"])


def upgrade() -> None:
    _create_state()
    _create_histories()
    _create_ingest()


def downgrade() -> None:
    for table in (
        "stream_gaps",
        "ingest_position",
        "dead_letters",
        "endpoint_history",
        "model_reports",
        "model_quality_history",
        "model_performance_history",
        "model_availability_history",
        "model_info_history",
        "model_info",
        "current_state",
    ):
        op.drop_table(table)

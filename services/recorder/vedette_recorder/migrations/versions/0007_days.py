"""Days of probes, packed; the figures of benchmarks in their index, and of contended samples in a column."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLE, COLUMN = "model_performance_history", "contended"
INDEX, OF = "ix_model_performance_history_model", ["endpoint", "model", "measured_at"]
COVERED = ["outcome", "n", COLUMN, "output_tps", "ttft_ms", "ttft_cold_ms", "load_ms", "texts_per_s"]


def upgrade() -> None:
    op.create_table(
        "probe_days",
        sa.Column("endpoint", sa.Text(), primary_key=True),
        sa.Column("model", sa.Text(), primary_key=True),
        sa.Column("day", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("probes", sa.LargeBinary()),
    )
    op.create_index("ix_probe_days_day", "probe_days", ["day"])
    empty = sa.text("probes IS NULL")
    op.create_index("ix_probe_days_empty", "probe_days", ["day"], sqlite_where=empty, postgresql_where=empty)
    op.add_column(TABLE, sa.Column(COLUMN, sa.BigInteger(), nullable=False, server_default="0"))
    # It is absent from the JSON when it is zero.
    figures = sa.column("figures", sa.JSON().with_variant(JSONB(), "postgresql"))
    table = sa.table(TABLE, sa.column(COLUMN), figures)
    op.execute(sa.update(table).values({COLUMN: sa.func.coalesce(figures["contended"].as_integer(), 0)}))
    op.drop_index(INDEX)
    op.create_index(INDEX, TABLE, OF + COVERED)


def downgrade() -> None:
    op.drop_index(INDEX)
    op.create_index(INDEX, TABLE, OF)
    op.drop_column(TABLE, COLUMN)
    op.drop_table("probe_days")

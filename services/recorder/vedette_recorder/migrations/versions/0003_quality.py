"""What evaluations cost and missed, regressions, and what users vouch for."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
EVALUATED = "model_quality_history"
ADDED: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("detail", sa.Text()),
    ("server_version", sa.Text()),
    ("requests", sa.BigInteger()),
    ("tokens", sa.BigInteger()),
    ("took_s", sa.Double()),
    ("misses", sa.JSON()),
)


def _history(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        sa.Column("event_id", sa.Uuid(), primary_key=True),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        *columns,
    )
    op.create_index(f"ix_{name}_model", name, ["endpoint", "model", "measured_at"])
    op.create_index(f"ix_{name}_measured_at", name, ["measured_at"])


def upgrade() -> None:
    for name, kind in ADDED:
        op.add_column(EVALUATED, sa.Column(name, kind))
    _history(
        "model_regression_history",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text()),
        sa.Column("server_version", sa.Text()),
        sa.Column("before", JSON, nullable=False),
        sa.Column("drops", JSON, nullable=False),
    )
    _history("model_rating_history", sa.Column("ratings", JSON, nullable=False))


def downgrade() -> None:
    op.drop_table("model_rating_history")
    op.drop_table("model_regression_history")
    for name, _ in reversed(ADDED):
        op.drop_column(EVALUATED, name)

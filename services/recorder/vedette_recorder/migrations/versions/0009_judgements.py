"""Texts that models wrote for judges, and what those found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
NAME = "model_judgement_history"


def upgrade() -> None:
    op.create_table(
        NAME,
        sa.Column("event_id", sa.Uuid(), primary_key=True),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("use", JSON, nullable=False),
        sa.Column("took_s", sa.Double(), nullable=False),
        sa.Column("judged", sa.JSON(), nullable=False),
    )
    op.create_index(f"ix_{NAME}_model", NAME, ["endpoint", "model", "measured_at"])
    op.create_index(f"ix_{NAME}_measured_at", NAME, ["measured_at"])


def downgrade() -> None:
    op.drop_table(NAME)

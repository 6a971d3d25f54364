"""Which models were renamed with their endpoint: what is recorded under the former name is theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "model_renames",
        sa.Column("event_id", sa.Uuid(), primary_key=True),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("former_endpoint", sa.Text(), nullable=False),
        sa.Column("at", time, nullable=False),
        sa.Column("until", time, nullable=False),
        sa.Column("replaced_at", time),
    )
    op.create_index("ix_model_renames_model", "model_renames", ["model"])
    op.create_index("ix_model_renames_at", "model_renames", ["at"])


def downgrade() -> None:
    op.drop_table("model_renames")

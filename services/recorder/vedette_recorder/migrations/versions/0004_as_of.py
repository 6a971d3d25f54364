"""What is stored so that the state of a model at a time can be reconstructed."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
ADDED: tuple[tuple[str, str, sa.types.TypeEngine[Any]], ...] = (
    ("model_quality_history", "claims", JSON),
    ("model_quality_history", "quality", JSON),
    ("model_capability_history", "embedding_dimensions", sa.BigInteger()),
)


def upgrade() -> None:
    for table, name, kind in ADDED:
        op.add_column(table, sa.Column(name, kind))


def downgrade() -> None:
    for table, name, _ in reversed(ADDED):
        op.drop_column(table, name)

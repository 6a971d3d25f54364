"""What services publish of their models' availability and speed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE, COLUMN = "model_availability_history", "published"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column(COLUMN, sa.JSON().with_variant(JSONB(), "postgresql")))


def downgrade() -> None:
    op.drop_column(TABLE, COLUMN)

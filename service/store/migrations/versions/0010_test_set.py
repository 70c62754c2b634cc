"""The counts of each stage's test set, from which its chance follows. Stages that are stored already have none."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply."""
    op.add_column("stages", sa.Column("test_set", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("stages", "test_set")

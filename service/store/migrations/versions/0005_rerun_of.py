"""The search whose choice an experiment measures."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply."""
    op.add_column("experiments", sa.Column("rerun_of", sa.String(length=32), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("experiments", "rerun_of")

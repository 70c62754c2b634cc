"""The earlier resources of an experiment's trials, before they were changed."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply."""
    op.add_column("experiments", sa.Column("resources_history", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    """Undo."""
    op.drop_column("experiments", "resources_history")

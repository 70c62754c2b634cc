"""Why an experiment failed, as data."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = ("experiments", "outcomes")


def upgrade() -> None:
    """Apply."""
    for table in TABLES:
        op.add_column(table, sa.Column("failure", sa.JSON, nullable=True))


def downgrade() -> None:
    """Undo."""
    for table in TABLES:
        op.drop_column(table, "failure")

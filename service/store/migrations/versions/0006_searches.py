"""Which configuration of a search a chain is of, and why the search has stopped it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    op.add_column("chains", sa.Column("configuration", sa.Integer, nullable=False, server_default="0"))
    op.add_column("chains", sa.Column("reason", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Undo."""
    op.drop_column("chains", "reason")
    op.drop_column("chains", "configuration")

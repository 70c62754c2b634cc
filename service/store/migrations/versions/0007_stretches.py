"""The start of an experiment's stretch, and the work done before it. The start is unknown for stored experiments."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.add_column("experiments", sa.Column("stretch_started_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("experiments", sa.Column("work_at_stretch", LONG, nullable=False, server_default="0"))


def downgrade() -> None:
    """Undo."""
    op.drop_column("experiments", "work_at_stretch")
    op.drop_column("experiments", "stretch_started_at")

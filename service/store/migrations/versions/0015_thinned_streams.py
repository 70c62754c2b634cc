"""A mark of the experiments whose streams of events have been thinned. It is set by the control, also of old ones."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply."""
    column: sa.Column[bool] = sa.Column("is_stream_thinned", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("experiments", column)


def downgrade() -> None:
    """Undo."""
    op.drop_column("experiments", "is_stream_thinned")

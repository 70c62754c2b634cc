"""The session of Ray that knows the newest driver's job. It is not known of the drivers of earlier versions."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply."""
    op.add_column("experiments", sa.Column("ray_session", sa.String(120), nullable=True))
    op.add_column("experiments", sa.Column("is_job_forgotten", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Undo."""
    op.drop_column("experiments", "is_job_forgotten")
    op.drop_column("experiments", "ray_session")

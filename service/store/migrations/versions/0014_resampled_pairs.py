"""The resampled pairs of arms. Those of experiments that have ended already are computed later, by the control."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "resampled_pairs",
        sa.Column("experiment_id", sa.String(32), nullable=False),
        sa.Column("arm", sa.String(80), nullable=False),
        sa.Column("to", sa.String(80), nullable=False),
        sa.Column("seeds", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "arm", "to"),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], ondelete="CASCADE"),
    )
    op.add_column("experiments", sa.Column("has_resampled", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Undo."""
    op.drop_column("experiments", "has_resampled")
    op.drop_table("resampled_pairs")

"""The curves of stages. Those of experiments that have ended already are read from storage later, by the control."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "curves",
        sa.Column("experiment_id", sa.String(32), nullable=False),
        sa.Column("chain_id", sa.String(32), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=True),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "chain_id", "index"),
        sa.ForeignKeyConstraint(
            ["experiment_id", "chain_id", "index"],
            ["stages.experiment_id", "stages.chain_id", "stages.index"],
            name="fk_curves_stage",
            ondelete="CASCADE",
        ),
    )
    op.add_column("experiments", sa.Column("has_curves", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Undo."""
    op.drop_column("experiments", "has_curves")
    op.drop_table("curves")

"""The preset that an experiment was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("experiments") as batch_op:
        batch_op.add_column(sa.Column("preset", sa.String(length=80), nullable=True))


def downgrade() -> None:
    """Undo."""
    # Not in a batch: on SQLite, a batch makes the table again, and dropping the old table deletes every chain with it.
    op.drop_column("experiments", "preset")

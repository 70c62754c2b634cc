"""Generations, the queue, forks, verifications, removal and webhooks."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ONE_CPU = '{"resources": {"CPU": 1}, "if_unplaceable": "wait"}'
TEXT, FLAG, TIME = sa.Text(), sa.String(16), sa.DateTime(timezone=True)


def _columns() -> "list[sa.Column[Any]]":
    """Return the new columns of experiments. A default is for the experiments that are stored already."""
    return [
        sa.Column("hold", TEXT, nullable=False, server_default=""),
        sa.Column("owner", sa.String(80), nullable=False, server_default="local"),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("queued_at", TIME, nullable=False, server_default="1970-01-01 00:00:00+00:00"),
        sa.Column("demand", sa.JSON, nullable=False, server_default=ONE_CPU),
        sa.Column("generation", sa.Integer, nullable=False, server_default="1"),
        sa.Column("first_driver", sa.Integer, nullable=False, server_default="1"),
        sa.Column("cleanup", FLAG, nullable=True),
        sa.Column("checkpoints_removed_at", TIME, nullable=True),
        sa.Column("delete_at", TIME, nullable=True),
        sa.Column("notify_at", TIME, nullable=True),
        sa.Column("notify_tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("notify_error", TEXT, nullable=False, server_default=""),
        sa.Column("notified_at", TIME, nullable=True),
    ]


INDEXED = ("cleanup", "delete_at", "notify_at")


def upgrade() -> None:
    """Apply."""
    # Add column by column. If SQLite built the table again, it would delete the chains together with the old table.
    for column in _columns():
        op.add_column("experiments", column)
    op.execute("UPDATE experiments SET queued_at = created_at")
    for name in INDEXED:
        op.create_index(f"ix_experiments_{name}", "experiments", [name])
    op.create_table(
        "outcomes",
        sa.Column("experiment_id", sa.String(32), sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("state", FLAG, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "generation"),
    )
    op.create_table(
        "lineage",
        sa.Column("experiment_id", sa.String(32), sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
        sa.Column("parent_id", sa.String(32), sa.ForeignKey("experiments.id"), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "parent_id"),
    )
    op.create_index("ix_lineage_parent_id", "lineage", ["parent_id"])
    op.create_table(
        "verifications",
        sa.Column("experiment_id", sa.String(32), sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("chain_id", sa.String(32), nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("state", FLAG, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("job_attempt", sa.Integer, nullable=False),
        sa.Column("result", sa.JSON, nullable=True),
        sa.PrimaryKeyConstraint("experiment_id", "number"),
    )
    op.create_index("ix_verifications_state", "verifications", ["state"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("verifications")
    op.drop_table("lineage")
    op.drop_table("outcomes")
    for name in INDEXED:
        op.drop_index(f"ix_experiments_{name}", "experiments")
    for column in reversed(_columns()):
        op.drop_column("experiments", column.name)

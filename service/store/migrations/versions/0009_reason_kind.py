"""The kind of an experiment's reason. Reasons that are stored already get a kind from their words.

Only this migration reads the words of a reason: earlier versions stored nothing else.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

EXPERIMENTS = sa.table("experiments", *(sa.column(name) for name in ("state", "reason", "reason_kind", "hold")))
# The sentences of earlier versions, as patterns of LIKE. A reason that fits none of them is Ray's answer to a stop.
SENTENCES = (
    ("waits for a node: %", "waits_for_node"),
    ("waits: %", "waits_for_owner"),
    ("the storage is full: %", "storage"),
    ("the storage cannot be written: %", "storage"),
    ("the service cannot go on with it: %", "trouble"),
    ("Ray does not answer: %", "ray_silent"),
    ("Ray did not take the job: %", "ray_refused"),
    ("driver % is gone (%", "driver_lost"),
    ("% points wait for MLflow: %", "waits_for_mlflow"),
)


def upgrade() -> None:
    """Apply."""
    op.add_column("experiments", sa.Column("reason_kind", sa.String(32), nullable=False, server_default="none"))
    c = EXPERIMENTS.c
    kind = sa.case(
        (c.state == "failed", "failed"),
        (c.state == "cancelled", "cancelled"),
        (sa.or_(c.state == "succeeded", c.reason == ""), "none"),
        (c.reason == c.hold, "storage"),
        *((c.reason.like(words), kind) for words, kind in SENTENCES),
        else_="stopping",
    )
    op.execute(sa.update(EXPERIMENTS).values(reason_kind=kind))


def downgrade() -> None:
    """Undo."""
    op.drop_column("experiments", "reason_kind")

"""The failure of an experiment, as data. Failures of stages that are stored already get a type."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = ("experiments", "outcomes")
KEY = ("experiment_id", "chain_id", "index")
STAGES = sa.table("stages", *(sa.column(name) for name in KEY), sa.column("failure", sa.JSON))


def upgrade() -> None:
    """Apply."""
    for table in TABLES:
        op.add_column(table, sa.Column("failure", sa.JSON, nullable=True))
    connection = op.get_bind()
    for *key, stored in connection.execute(sa.select(STAGES).where(STAGES.c.failure.is_not(None))).all():
        if stored is not None and "type" not in stored:  # None: a JSON null
            this = [STAGES.c[name] == value for name, value in zip(KEY, key, strict=True)]
            type_ = "node_lost" if stored.get("class") == "cluster" else "error"
            connection.execute(sa.update(STAGES).where(*this).values(failure={"type": type_, **stored}))


def downgrade() -> None:
    """Undo."""
    for table in TABLES:
        op.drop_column(table, "failure")

"""The number of a chain's configuration in a search, and the reason why the search stopped the chain."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

CHAINS = sa.table(
    "chains",
    *(sa.column(name) for name in ("experiment_id", "id", "position", "arm", "configuration")),
    sa.column("hyperparameters", sa.JSON),
)


def upgrade() -> None:
    """Apply. Number the configurations of stored searches within their arm, in the order of their chains."""
    op.add_column("chains", sa.Column("configuration", sa.Integer, nullable=False, server_default="0"))
    op.add_column("chains", sa.Column("reason", sa.Text, nullable=False, server_default=""))
    connection = op.get_bind()
    c = CHAINS.c
    numbers: dict[tuple[str, str], dict[str, int]] = {}
    rows = connection.execute(
        sa.select(c.experiment_id, c.id, c.arm, c.hyperparameters).order_by(c.experiment_id, c.position)
    ).all()
    for experiment, chain, arm, values in rows:
        known = numbers.setdefault((experiment, arm), {})
        number = known.setdefault(json.dumps(values, sort_keys=True), len(known))
        if number:
            this = c.experiment_id == experiment, c.id == chain
            connection.execute(sa.update(CHAINS).where(*this).values(configuration=number))


def downgrade() -> None:
    """Undo."""
    op.drop_column("chains", "reason")
    op.drop_column("chains", "configuration")

"""The former default of `resources.reuse_actors`, in the specs that leave it out: the default changes.

So experiments that are stored already go on as they were posted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

EXPERIMENTS = sa.table("experiments", sa.column("id", sa.String), sa.column("spec", sa.JSON))


def upgrade() -> None:
    """Apply."""
    connection = op.get_bind()
    for experiment_id in connection.scalars(sa.select(EXPERIMENTS.c.id)).all():
        is_this = EXPERIMENTS.c.id == experiment_id
        spec = connection.scalars(sa.select(EXPERIMENTS.c.spec).where(is_this)).one()
        resources = spec.get("resources", {})
        if "reuse_actors" not in resources:
            spec |= {"resources": resources | {"reuse_actors": False}}
            connection.execute(sa.update(EXPERIMENTS).where(is_this).values(spec=spec))


def downgrade() -> None:
    """Do nothing: earlier versions read the same specs."""

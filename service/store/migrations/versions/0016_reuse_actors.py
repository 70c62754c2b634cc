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
    _set_false_where(None)


def downgrade() -> None:
    """Undo. Earlier versions know no "auto"."""
    _set_false_where("auto")


def _set_false_where(value: str | None) -> None:
    """Set `reuse_actors` to false in the specs that have this value; None: in those that leave it out."""
    connection = op.get_bind()
    for experiment_id in connection.scalars(sa.select(EXPERIMENTS.c.id)).all():
        is_this = EXPERIMENTS.c.id == experiment_id
        spec = connection.scalars(sa.select(EXPERIMENTS.c.spec).where(is_this)).one()
        resources = spec.get("resources", {})
        if resources.get("reuse_actors") == value:
            spec |= {"resources": resources | {"reuse_actors": False}}
            connection.execute(sa.update(EXPERIMENTS).where(is_this).values(spec=spec))

"""The key of the saved view in MLflow. Experiments of earlier versions have none until a driver ships them again."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply."""
    op.add_column("experiments", sa.Column("mlflow_view", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("experiments", "mlflow_view")

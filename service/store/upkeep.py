"""What the service does by itself for experiments that have ended: cleaning up, and telling of the end."""

from datetime import datetime

from sqlalchemy import delete, select

from service.store.base import Queries
from service.store.tables import ExperimentRow


class Upkeep(Queries):
    """The part of the repository that the housekeeper works with."""

    def to_clean(self) -> list[ExperimentRow]:
        """Experiments of which something is to be removed."""
        query = select(ExperimentRow).where(ExperimentRow.cleanup.is_not(None))
        return list(self._session.scalars(query.order_by(ExperimentRow.id)))

    def outlived(self, now: datetime) -> list[str]:
        """Ids of the experiments whose time has come to be deleted."""
        query = select(ExperimentRow.id).where(ExperimentRow.delete_at <= now, ExperimentRow.cleanup.is_(None))
        return list(self._session.scalars(query.order_by(ExperimentRow.id)))

    def to_notify(self, now: datetime, limit: int) -> list[ExperimentRow]:
        """Experiments whose end somebody is to be told of now."""
        query = select(ExperimentRow).where(ExperimentRow.notify_at <= now)
        return list(self._session.scalars(query.order_by(ExperimentRow.notify_at).limit(limit)))

    def row(self, experiment_id: str) -> ExperimentRow | None:
        """One experiment, even while it is being deleted; locked until this transaction ends."""
        return self._session.get(ExperimentRow, experiment_id, with_for_update=True)

    def forget(self, experiment_id: str) -> None:
        """Delete all that the database has of an experiment."""
        self._session.execute(delete(ExperimentRow).where(ExperimentRow.id == experiment_id))

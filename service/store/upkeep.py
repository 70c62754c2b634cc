"""Queries of the housekeeper and the deliverer about experiments that have ended."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.store.tables import ExperimentRow


class Upkeep:
    """Experiments that are to be removed or whose webhooks are due."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def to_clean(self) -> list[ExperimentRow]:
        """Return the experiments whose checkpoints or whole data are to be removed."""
        query = select(ExperimentRow).where(ExperimentRow.cleanup.is_not(None))
        return list(self._session.scalars(query.order_by(ExperimentRow.id)))

    def expired(self, now: datetime) -> list[str]:
        """Return the ids of the experiments that are due to be deleted."""
        query = select(ExperimentRow.id).where(ExperimentRow.delete_at <= now, ExperimentRow.cleanup.is_(None))
        return list(self._session.scalars(query.order_by(ExperimentRow.id)))

    def to_notify(self, now: datetime, limit: int) -> list[ExperimentRow]:
        """Return at most `limit` experiments whose webhook is due, the longest due first."""
        query = select(ExperimentRow).where(ExperimentRow.notify_at <= now)
        return list(self._session.scalars(query.order_by(ExperimentRow.notify_at).limit(limit)))

    def get_locked(self, experiment_id: str) -> ExperimentRow | None:
        """Return one experiment, even if it is being deleted; lock it until this transaction ends."""
        return self._session.get(ExperimentRow, experiment_id, with_for_update=True)

    def delete(self, experiment_id: str) -> None:
        """Delete an experiment from the database."""
        self._session.execute(delete(ExperimentRow).where(ExperimentRow.id == experiment_id))

"""What every part of the repository stands on: one transaction, one experiment, and the stream of events."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service.errors import NotFound
from service.events import utc_now
from service.states import Cleanup
from service.store.tables import EventRow, ExperimentRow


class Queries:
    """Reads and writes of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def experiment(self, experiment_id: str, *, lock: bool = False) -> ExperimentRow:
        """One experiment.

        Args:
            experiment_id: which.
            lock: let nobody else change it until this transaction ends. Whoever tells events of it does so, since
                followers read them by number: without, one that was numbered first could be stored last, unseen.

        Raises:
            NotFound: there is none of this id, or it is being deleted.
        """
        row = self._session.get(ExperimentRow, experiment_id, with_for_update=lock or None)
        if row is None or row.cleanup == Cleanup.EVERYTHING:
            raise NotFound(f"there is no experiment {experiment_id!r}")
        return row

    def add_event(self, experiment_id: str, kind: str, data: dict[str, Any], at: datetime | None = None) -> None:
        """Append to the stream that clients follow."""
        self._session.add(EventRow(experiment_id=experiment_id, at=at or utc_now(), type=kind, data=data))

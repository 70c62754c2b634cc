"""The stream of events, and how far the drivers' event files are read."""

from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.events import AnyEvent, ExperimentChanged
from service.store.tables import EventFileRow, EventRow


class EventLog:
    """The stream that clients follow."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, experiment_id: str, event: AnyEvent | ExperimentChanged) -> None:
        """Append an event."""
        self._session.add(EventRow(experiment_id=experiment_id, at=event.at, type=event.type, data=event.data()))

    def after(self, experiment_id: str, number: int = 0, *, limit: int = 500) -> list[EventRow]:
        """Return an experiment's events after event `number`, oldest first."""
        query = (
            select(EventRow)
            .where(EventRow.experiment_id == experiment_id, EventRow.id > number)
            .order_by(EventRow.id)
            .limit(limit)
        )
        return list(self._session.scalars(query))


class EventOffsets:
    """How many bytes of each driver's event file are taken in."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, experiment_id: str, driver_attempt: int) -> int:
        """Return how many bytes of this driver's event file are taken in."""
        row = self._session.get(EventFileRow, (experiment_id, driver_attempt))
        return 0 if row is None else row.offset

    def move(self, experiment_id: str, driver_attempt: int, before: int, after: int) -> bool:
        """Record that the file is taken in up to `after`; return False if another one moved it from `before`."""
        if before == 0 and self._session.get(EventFileRow, (experiment_id, driver_attempt)) is None:
            try:
                with self._session.begin_nested():
                    row = EventFileRow(experiment_id=experiment_id, driver_attempt=driver_attempt, offset=after)
                    self._session.add(row)
                return True
            except IntegrityError:
                return False
        this = EventFileRow.experiment_id == experiment_id, EventFileRow.driver_attempt == driver_attempt
        statement = update(EventFileRow).where(*this, EventFileRow.offset == before).values(offset=after)
        return cast("CursorResult[Any]", self._session.execute(statement)).rowcount == 1

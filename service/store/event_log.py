"""The stream of events, and the offsets up to which the drivers' event files have been read."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.events import AnyEvent, ExperimentChanged
from service.store.tables import EventFileRow, EventRow

# Number of experiments in one query for news. SQLite refuses a condition of more than about 1,000 alternatives.
EXPERIMENTS_A_QUERY = 200


class EventLog:
    """The stream of events that clients follow."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, experiment_id: str, event: AnyEvent | ExperimentChanged) -> None:
        """Append an event."""
        self._session.add(EventRow(experiment_id=experiment_id, at=event.at, type=event.type, data=event.data()))

    def list_after(self, experiment_id: str, event_id: int = 0, *, limit: int = 500) -> list[EventRow]:
        """Return at most `limit` events of an experiment whose ids are larger than `event_id`, oldest first."""
        query = (
            select(EventRow)
            .where(EventRow.experiment_id == experiment_id, EventRow.id > event_id)
            .order_by(EventRow.id)
            .limit(limit)
        )
        return list(self._session.scalars(query))

    def newest(self, experiment_id: str) -> int:
        """Return the id of an experiment's newest event; 0 if it has none."""
        query = select(func.max(EventRow.id)).where(EventRow.experiment_id == experiment_id)
        return self._session.scalar(query) or 0

    def list_news(self, known: Mapping[str, int], *, limit: int) -> list[EventRow]:
        """Return at most `limit` events of some experiments, oldest first.

        Args:
            known: For each experiment, the id after which its events are wanted. Only the ids of one experiment are in
                the order in which they were stored, so with one id for all experiments, events would be missed.
            limit: The largest number of events.
        """
        followed = list(known.items())
        starts = range(0, len(followed), EXPERIMENTS_A_QUERY)
        rows = [row for start in starts for row in self._news_of(followed[start : start + EXPERIMENTS_A_QUERY], limit)]
        return sorted(rows, key=lambda row: row.id)[:limit]

    def _news_of(self, followed: Sequence[tuple[str, int]], limit: int) -> Sequence[EventRow]:
        wanted = [and_(EventRow.experiment_id == each, EventRow.id > after) for each, after in followed]
        return self._session.scalars(select(EventRow).where(or_(*wanted)).order_by(EventRow.id).limit(limit)).all()


class EventOffsets:
    """The number of bytes of each driver's event file that have been read."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, experiment_id: str, driver_attempt: int) -> int:
        """Return how many bytes of this driver's event file have been read."""
        row = self._session.get(EventFileRow, (experiment_id, driver_attempt))
        return 0 if row is None else row.offset

    def move(self, experiment_id: str, driver_attempt: int, old_offset: int, new_offset: int) -> bool:
        """Set the offset of a driver's event file, unless another reader has moved it; return whether it was set.

        Args:
            experiment_id: the experiment's id.
            driver_attempt: the number of the driver.
            old_offset: the bytes that had been read when this reader started; the stored offset must be equal.
            new_offset: the bytes that have been read now.
        """
        if old_offset == 0 and self._session.get(EventFileRow, (experiment_id, driver_attempt)) is None:
            try:
                with self._session.begin_nested():
                    row = EventFileRow(experiment_id=experiment_id, driver_attempt=driver_attempt, offset=new_offset)
                    self._session.add(row)
                return True
            except IntegrityError:
                return False
        is_this_file = EventFileRow.experiment_id == experiment_id, EventFileRow.driver_attempt == driver_attempt
        statement = update(EventFileRow).where(*is_this_file, EventFileRow.offset == old_offset)
        statement = statement.values(offset=new_offset)
        return cast("CursorResult[Any]", self._session.execute(statement)).rowcount == 1

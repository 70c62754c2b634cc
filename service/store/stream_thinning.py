"""The thinning of streams: the events of single epochs are removed once an experiment has ended some time ago.

They take most of the database, and the curves have the same numbers. What is left are all changes of a state, with the
last epoch of each stage.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.states import TERMINAL
from service.store.tables import EventRow, ExperimentRow


class StageEvent(NamedTuple):
    """An event about a stage in the stream: its id, and what it says."""

    id: int
    chain: str
    stage: int
    state: str
    epoch: int | None


class StreamThinning:
    """Events of experiments that have ended."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def due(self, before: datetime, limit: int) -> list[str]:
        """Return at most `limit` ids of experiments whose streams are to be thinned.

        Args:
            before: The experiments have ended before this time, and their curves are stored.
            limit: The largest number of ids.
        """
        ended = ExperimentRow.state.in_(TERMINAL), ExperimentRow.finished_at < before
        ready = ExperimentRow.has_curves.is_(True), ExperimentRow.is_stream_thinned.is_(False)
        query = select(ExperimentRow.id).where(*ended, *ready).order_by(ExperimentRow.id).limit(limit)
        return list(self._session.scalars(query))

    def newest_first(self, experiment_id: str, below: int | None, limit: int) -> list[StageEvent]:
        """Return at most `limit` events about stages, the newest first; only those with ids smaller than `below`."""
        data = EventRow.data
        query = select(
            EventRow.id,
            data["chain"].as_string(),
            data["stage"].as_integer(),
            data["state"].as_string(),
            data["epoch"].as_integer(),
        ).where(EventRow.experiment_id == experiment_id, EventRow.type == "stage")
        if below is not None:
            query = query.where(EventRow.id < below)
        return [StageEvent(*row) for row in self._session.execute(query.order_by(EventRow.id.desc()).limit(limit))]

    def remove(self, ids: Collection[int]) -> None:
        """Remove events from the stream."""
        self._session.execute(delete(EventRow).where(EventRow.id.in_(ids)))

    def done(self, experiment_id: str) -> None:
        """Note that an experiment's stream is thin, unless the experiment runs again."""
        row = ExperimentRow.id == experiment_id, ExperimentRow.state.in_(TERMINAL)
        self._session.execute(update(ExperimentRow).where(*row).values(is_stream_thinned=True))

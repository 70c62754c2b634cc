"""The thinning of streams: the events of single epochs are removed once an experiment has ended some time ago.

They take most of the database, and the curves have the same numbers. What is left are all changes of a state, all
starts of attempts, and the last event of each stage.
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
    attempts: int | None


class StreamThinning:
    """Events of experiments that have ended."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def due(self, before: datetime, limit: int) -> list[tuple[str, int]]:
        """Return at most `limit` experiments whose streams are to be thinned: each id, with the generation.

        Args:
            before: The experiments have ended, and their newest events were stored, before this time. Their curves are
                stored.
            limit: The largest number of experiments.
        """
        ended = ExperimentRow.state.in_(TERMINAL), ExperimentRow.finished_at < before
        ready = ExperimentRow.has_curves.is_(True), ExperimentRow.is_stream_thinned.is_(False)
        events = select(EventRow.at).where(EventRow.experiment_id == ExperimentRow.id)
        newest = events.order_by(EventRow.id.desc()).limit(1).scalar_subquery()
        query = select(ExperimentRow.id, ExperimentRow.generation).where(*ended, *ready, newest < before)
        return [
            (row.id, row.generation) for row in self._session.execute(query.order_by(ExperimentRow.id).limit(limit))
        ]

    def newest_first(self, experiment_id: str, below: int | None, limit: int) -> list[StageEvent]:
        """Return at most `limit` events about stages, the newest first; only those with ids smaller than `below`."""
        data = EventRow.data
        query = select(
            EventRow.id,
            data["chain"].as_string(),
            data["stage"].as_integer(),
            data["state"].as_string(),
            data["attempts"].as_integer(),
        ).where(EventRow.experiment_id == experiment_id, EventRow.type == "stage")
        if below is not None:
            query = query.where(EventRow.id < below)
        return [StageEvent(*row) for row in self._session.execute(query.order_by(EventRow.id.desc()).limit(limit))]

    def remove(self, ids: Collection[int]) -> None:
        """Remove events from the stream."""
        self._session.execute(delete(EventRow).where(EventRow.id.in_(ids)))

    def done(self, experiment_id: str, generation: int) -> None:
        """Note that an experiment's stream is thin, unless a later generation has begun."""
        row = ExperimentRow.id == experiment_id, ExperimentRow.generation == generation
        self._session.execute(update(ExperimentRow).where(*row).values(is_stream_thinned=True))

"""The thinner of streams: it removes the events of single epochs when an experiment has ended an hour ago.

It has a thread of its own: an experiment may have millions of events.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from service.control.background import BackgroundThread
from service.events import utc_now
from service.states import WorkState
from service.store.database import Database
from service.store.stream_thinning import StageEvent

log = logging.getLogger(__name__)

# Seconds between two rounds, and the number of experiments of one round.
INTERVAL_S = 60.0
AT_ONCE = 10
# How long after the end a client that was cut off still gets each epoch.
KEPT_FOR = timedelta(hours=1)
# The number of events that are read at once, and that one transaction removes: others must be able to write meanwhile.
READ_AT_ONCE, REMOVED_AT_ONCE = 5_000, 500
# Seconds between two transactions.
PAUSE_S = 0.1


class StreamThinner(BackgroundThread):
    """The thread that thins streams. Every step may be repeated, even by two threads at once.

    Args:
        database: The database.
        clock: A clock for times in UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__("thinner of streams", INTERVAL_S)
        self._database, self._clock = database, clock

    def round(self) -> None:
        """Thin the streams of some experiments that have ended."""
        with self._database.reading() as repository:
            due = repository.thinning.due(self._clock() - KEPT_FOR, AT_ONCE)
        for experiment_id, generation in due:
            num_removed = self._thin(experiment_id)
            if self.is_asked_to_stop:
                return
            with self._database.session() as repository:
                repository.thinning.done(experiment_id, generation)
            log.info("experiment %s: %d events of single epochs removed", experiment_id, num_removed)

    def _thin(self, experiment_id: str) -> int:
        """Thin one stream, from its end to its start, unless asked to stop; return the number of removed events."""
        newer = _Newer()
        below: int | None = None
        num_removed = 0
        while not self.is_asked_to_stop:
            with self._database.reading() as repository:
                events = repository.thinning.newest_first(experiment_id, below, READ_AT_ONCE)
            if not events:
                break
            ids = newer.not_needed(events)
            for start in range(0, len(ids), REMOVED_AT_ONCE):
                self.give_sign()
                self.pause(PAUSE_S)
                with self._database.session() as repository:
                    repository.thinning.remove(ids[start : start + REMOVED_AT_ONCE])
            num_removed, below = num_removed + len(ids), events[-1].id
        return num_removed


class _Newer:
    """What is newer than the events that are looked at next, since a stream is read from its end."""

    def __init__(self) -> None:
        # The event after the next one of each stage; None: it stays.
        self._after: dict[tuple[str, int], StageEvent | None] = {}

    def not_needed(self, events: list[StageEvent]) -> list[int]:
        """Return the ids of events that only tell of an epoch: neither the last of their stage, nor a change of state.

        Args:
            events: The next events, the newest first. An event is judged by the one before it in the stream, so it may
                be returned by a later call.
        """
        found = []
        for event in events:
            key = event.chain, event.stage
            after = self._after.get(key)
            if after is not None and (event.state, event.attempts) == (after.state, after.attempts):
                found.append(after.id)
            may_go = key in self._after and event.state == WorkState.RUNNING
            self._after[key] = event if may_go else None
        return found

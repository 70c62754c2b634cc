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
# The number of events of one transaction. SQLite refuses a statement with more than 32,766 values.
EVENTS_AT_ONCE = 5_000


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
            ids = repository.thinning.due(self._clock() - KEPT_FOR, AT_ONCE)
        for experiment_id in ids:
            if not self._thin(experiment_id):
                return

    def _thin(self, experiment_id: str) -> bool:
        """Thin one stream, from its end to its start; return whether that was completed."""
        seen: set[tuple[str, int]] = set()
        below: int | None = None
        num_removed = 0
        while not self.is_asked_to_stop:
            self.give_sign()
            with self._database.session() as repository:
                events = repository.thinning.newest_first(experiment_id, below, EVENTS_AT_ONCE)
                if not events:
                    repository.thinning.done(experiment_id)
                    log.info("experiment %s: %d events of single epochs removed", experiment_id, num_removed)
                    return True
                removed = _single_epochs(events, seen)
                repository.thinning.remove(removed)
            num_removed, below = num_removed + len(removed), events[-1].id
        return False


def _single_epochs(events: list[StageEvent], seen: set[tuple[str, int]]) -> list[int]:
    """Return the ids of events that only tell of an epoch, and are not the newest of their stage.

    Args:
        events: Events, the newest first.
        seen: The chain and stage of all newer events; those of `events` are added.
    """
    found = []
    for event in events:
        key = event.chain, event.stage
        if key in seen and event.state == WorkState.RUNNING and event.epoch:
            found.append(event.id)
        seen.add(key)
    return found

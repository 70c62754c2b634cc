"""The stream of an experiment's events: first from the database, then from the experiment's feed."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from service.api.feeds import PAGE, Feed, Feeds, as_sent
from service.states import TERMINAL
from service.store.database import Database
from service.store.tables import EventRow

# Seconds between two pings: proxies and clients close a connection that is silent for long.
HEARTBEAT_S = 15.0


@dataclass(frozen=True)
class Position:
    """An experiment's stream as it is now.

    Attributes:
        newest: The id of the experiment's newest event.
        ended: Whether the experiment has ended, so that no event will follow.
    """

    newest: int
    ended: bool


def position(database: Database, experiment_id: str) -> Position:
    """Return the position of an experiment's stream.

    Raises:
        NotFound: There is no such experiment.
    """
    with database.reading() as repository:
        # Read the state first. Otherwise the last events could come between both reads, and would be missed.
        ended = repository.experiments.get(experiment_id).state in TERMINAL
        return Position(repository.events.newest(experiment_id), ended)


class EventStream(EventSourceResponse):
    """The response that streams an experiment's events; it counts as an open stream once it is made."""

    def __init__(self, feeds: Feeds, database: Database, experiment_id: str, after: int, now: Position) -> None:
        """Make the response for all events after event `after`.

        Raises:
            Overloaded: There are too many streams.
        """
        self._place = contextlib.ExitStack()
        feed = self._place.enter_context(feeds.following(experiment_id, now.newest))
        super().__init__(event_stream(feed, database, experiment_id, after), ping=HEARTBEAT_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the experiment ends, the client leaves or the service ends."""
        with self._place:
            await super().__call__(scope, receive, send)


async def event_stream(feed: Feed, database: Database, experiment_id: str, after: int) -> AsyncIterator[bytes]:
    """Yield the events after event `after`, until the experiment has ended and all were sent, or it was deleted."""
    while True:
        if after < feed.floor:
            floor = feed.floor
            rows = await run_in_threadpool(_page, database, experiment_id, after)
            for row in rows:
                yield as_sent(row)
            # If the database has no event after `after`, the experiment was deleted.
            after = rows[-1].id if rows else floor
        elif fresh := feed.after(after):
            for number, event in fresh:
                yield event
                after = number
        elif feed.closed:
            return
        else:
            await feed.news()


def _page(database: Database, experiment_id: str, after: int) -> list[EventRow]:
    with database.reading() as repository:
        return repository.events.list_after(experiment_id, after, limit=PAGE)

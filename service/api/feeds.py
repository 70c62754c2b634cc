"""The newest events of the experiments that clients follow, read from the database once for all of them.

One task asks the database for the news of every followed experiment, in one transaction. Each experiment has a feed: a
limited number of its newest events, in memory. A stream sends the events of the feed. If it needs older events, it
reads them from the database. So a slow client costs no memory, and misses no event.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from service.errors import Overloaded
from service.states import TERMINAL
from service.store.database import Database
from service.store.tables import EventRow
from service.times import exact

log = logging.getLogger(__name__)

# Seconds between two queries for new events.
POLL_INTERVAL_S = 0.25
# Seconds until the next query after one that failed.
FAILED_WAIT_S = 2.0
# Largest number of events that are read at once.
PAGE = 500
# Number of events in the window of an experiment. A stream that is further behind reads the database.
WINDOW = 256
# Seconds after which a client that was refused may try again: streams last long.
RETRY_AFTER_S = 10


@dataclass
class Feed:
    """The newest events of one experiment.

    Attributes:
        newest: The id up to which its events were read.
        floor: The id after which the window holds every event up to `newest`.
        window: Ids and events as they are sent, oldest first.
        closed: Whether no event will follow: the experiment has ended, or was deleted.
        num_streams: The number of streams that use it.
    """

    newest: int
    floor: int
    window: deque[tuple[int, bytes]] = field(default_factory=deque)
    closed: bool = False
    num_streams: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def after(self, event_id: int) -> list[tuple[int, bytes]]:
        """Return the events of the window after event `event_id`."""
        return [each for each in self.window if each[0] > event_id]

    def take(self, rows: list[EventRow], closed: bool) -> None:
        """Add new events, and wake the streams that wait for them."""
        if not rows and closed == self.closed:
            return
        for row in rows:
            self.window.append((row.id, as_sent(row)))
            self.newest = row.id
        while len(self.window) > WINDOW:
            self.floor = self.window.popleft()[0]
        self.closed = closed
        self._news.set()
        self._news = asyncio.Event()

    async def news(self) -> None:
        """Wait until there are new events, or until no more events will come."""
        await self._news.wait()


class Feeds:
    """The feeds of all followed experiments, and the task that fills them; it runs only while there is a feed."""

    def __init__(self, database: Database, *, max_streams: int, max_streams_each: int) -> None:
        self._database = database
        self._max_streams, self._max_streams_each = max_streams, max_streams_each
        self._feeds: dict[str, Feed] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def num_streams(self) -> int:
        """The number of open streams."""
        return sum(feed.num_streams for feed in self._feeds.values())

    @contextmanager
    def following(self, experiment_id: str, newest: int) -> Iterator[Feed]:
        """Yield the feed of an experiment; `newest` is the id of its newest event that the caller knows of.

        Raises:
            Overloaded: There are too many streams.
        """
        self._check_room(experiment_id)
        feed = self._feeds.setdefault(experiment_id, Feed(newest, newest))
        feed.num_streams += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll(), name="events")
        try:
            yield feed
        finally:
            feed.num_streams -= 1
            if feed.num_streams == 0:
                del self._feeds[experiment_id]

    async def idle(self) -> None:
        """Wait until the task has ended, as it does after the last stream."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])  # this does not raise the task's error: others must be ended too

    def _check_room(self, experiment_id: str) -> None:
        feed = self._feeds.get(experiment_id)
        if feed is not None and feed.num_streams >= self._max_streams_each:
            raise Overloaded(_too_many(f"experiment {experiment_id}", self._max_streams_each), RETRY_AFTER_S)
        if self.num_streams >= self._max_streams:
            raise Overloaded(_too_many("this service", self._max_streams), RETRY_AFTER_S)

    async def _poll(self) -> None:
        works = True
        while self._feeds:
            try:
                all_read = await self._read_once()
            except Exception as error:  # whatever it is, the task must go on: without it all streams fall silent
                if works:  # once, not in each round
                    expected = isinstance(error, SQLAlchemyError)
                    log.error("the events cannot be read (%s); trying again", error, exc_info=not expected)
                works = False
                await asyncio.sleep(FAILED_WAIT_S)
                continue
            works = True
            if all_read:
                await asyncio.sleep(POLL_INTERVAL_S)

    async def _read_once(self) -> bool:
        """Read the new events of every feed; return whether all were read, which is so if they do not fill a page."""
        known = {experiment_id: feed.newest for experiment_id, feed in self._feeds.items()}
        rows, closed = await run_in_threadpool(read_news, self._database, known)
        all_read = len(rows) < PAGE
        for experiment_id, newest in known.items():
            feed = self._feeds.get(experiment_id)
            if feed is None or feed.newest != newest:  # its streams have ended, and new ones may have started
                continue
            own = [row for row in rows if row.experiment_id == experiment_id]
            feed.take(own, closed=all_read and closed[experiment_id])
        return all_read


def read_news(database: Database, known: Mapping[str, int]) -> tuple[list[EventRow], dict[str, bool]]:
    """Return a page of the events after the known ones, and which experiments have ended or are gone.

    One transaction reads both, the states first. An experiment gets no events after its end, so this misses none.
    """
    with database.reading() as repository:
        states = repository.experiments.states(known.keys())
        rows = repository.events.list_news(known, limit=PAGE)
    return rows, {experiment_id: states.get(experiment_id) in {None, *TERMINAL} for experiment_id in known}


def as_sent(row: EventRow) -> bytes:
    """Return an event as the stream sends it."""
    data = {"at": exact(row.at), **row.data}
    return ServerSentEvent(json.dumps(data, ensure_ascii=False), event=row.type, id=str(row.id)).encode()


def _too_many(whose: str, limit: int) -> str:
    return (
        f"{whose} has {limit} open streams of events, which is the limit: close one, or ask for the experiment itself"
    )

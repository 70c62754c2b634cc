"""The stream of an experiment's events, read from the database as long as a client listens."""

import asyncio
import json
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from service.errors import NotFound
from service.states import TERMINAL
from service.store.database import Database
from service.store.tables import EventRow
from service.times import exact

# Seconds between two queries for new events.
POLL_INTERVAL_S = 0.25
# Largest number of events in one query.
PAGE = 500
# Seconds between two signs of life: proxies and clients close a connection that is silent for long.
HEARTBEAT_S = 15.0


def event_response(database: Database, experiment_id: str, after: int) -> EventSourceResponse:
    """Return the response that streams all events after event `after`."""
    return EventSourceResponse(event_stream(database, experiment_id, after), ping=HEARTBEAT_S)


async def event_stream(database: Database, experiment_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
    """Yield the events after event `after`, until the experiment has ended and all were sent, or it was deleted."""
    while True:
        try:
            rows, ended = await run_in_threadpool(newer, database, experiment_id, after)
        except NotFound:  # it was deleted while a client listened
            return
        for row in rows:
            yield _sse(row)
            after = row.id
        if not rows:
            if ended:
                return
            await asyncio.sleep(POLL_INTERVAL_S)


def newer(database: Database, experiment_id: str, after: int) -> tuple[list[EventRow], bool]:
    """Return the next events, and whether the experiment has ended; one transaction reads both, to miss none."""
    with database.reading() as repository:
        ended = repository.experiments.get(experiment_id).state in TERMINAL
        return repository.events.list_after(experiment_id, after, limit=PAGE), ended


def _sse(row: EventRow) -> ServerSentEvent:
    data = {"at": exact(row.at), **row.data}
    return ServerSentEvent(json.dumps(data, ensure_ascii=False), event=row.type, id=str(row.id))

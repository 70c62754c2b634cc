"""The stream of an experiment's events, read from the database for as long as somebody listens."""

import asyncio
import json
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from service.errors import NotFound
from service.states import TERMINAL
from service.store.database import Database
from service.store.tables import EventRow

# How long a listener waits for news at most, when there are none.
POLL_INTERVAL_S = 0.25
PAGE = 500
# Proxies and clients take a connection for dead on which nothing comes.
HEARTBEAT_S = 15.0


def response(database: Database, experiment_id: str, after: int) -> EventSourceResponse:
    """Makes the response that tells all events from behind event `after`."""
    return EventSourceResponse(events(database, experiment_id, after), ping=HEARTBEAT_S)


async def events(database: Database, experiment_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
    """Yields events from behind event `after`; ends once the experiment has, and all was told, or it was deleted."""
    while True:
        try:
            rows, ended = await run_in_threadpool(newer, database, experiment_id, after)
        except NotFound:  # it was deleted while somebody listened
            return
        for row in rows:
            yield _sent(row)
            after = row.id
        if not rows:
            if ended:
                return
            await asyncio.sleep(POLL_INTERVAL_S)


def newer(database: Database, experiment_id: str, after: int) -> tuple[list[EventRow], bool]:
    """Returns the events that follow, and whether the experiment has ended; of one moment, so that none is missed."""
    with database.reading() as repository:
        ended = repository.experiments.get(experiment_id).state in TERMINAL
        return repository.events.after(experiment_id, after, limit=PAGE), ended


def _sent(row: EventRow) -> ServerSentEvent:
    data = {"at": row.at.isoformat(), **row.data}
    return ServerSentEvent(json.dumps(data, ensure_ascii=False), event=row.type, id=str(row.id))

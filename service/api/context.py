"""The parts of the service that endpoints use; the app creates them once, and endpoints declare them as a parameter."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.api.checking.checkers import Checkers
from service.api.feeds import Feeds
from service.api.turns import Turns
from service.control.child import ControlProcess
from service.control.jobs import RayJobs
from service.settings import Settings
from service.store.database import Database


@dataclass(frozen=True)
class Context:
    """The parts of a running service."""

    settings: Settings
    database: Database
    jobs: RayJobs
    control: ControlProcess | None
    checkers: Checkers
    feeds: Feeds
    reports: Turns


# Async although it awaits nothing: FastAPI runs a plain function in a thread, which takes longer than its work.
async def _context(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


InContext = Annotated[Context, Depends(_context)]

"""The application: its parts, guards, problem documents and routes."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from service.api import docs, health, openapi, presets, problems
from service.api.checking.checkers import Checkers, default_number
from service.api.context import Context
from service.api.experiments import endpoints as experiments
from service.api.experiments import lifecycle
from service.api.feeds import Feeds
from service.api.guards import BodyLimit, HostGuard
from service.api.naming import IdentityHeaders
from service.api.turns import Turns
from service.api.turnstile import Turnstile
from service.control.child import ControlProcess
from service.control.jobs import RayJobs, token_from
from service.identity import Identity
from service.settings import Settings
from service.store.database import Database

# A report takes some seconds of a core. More at once would only wait for each other.
REPORTS_AT_ONCE, REPORTS_WAITING = 2, 8


def create_app(settings: Settings, *, reconcile: bool = True) -> FastAPI:
    """Make the API; its lifespan migrates the database and runs the control process.

    Args:
        settings: Addresses, paths and limits.
        reconcile: Whether to run experiments too; if not, the API only stores them and answers requests.
    """
    app = FastAPI(
        title="TET experiments",
        summary="Compare ways to train spiking networks on a Ray cluster.",
        description=openapi.DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(settings, reconcile),
        middleware=[
            Middleware(IdentityHeaders),
            Middleware(HostGuard, allowed_hosts=settings.allowed_hosts),
            Middleware(BodyLimit, max_bytes=settings.max_body_bytes, max_bytes_in_all=settings.max_bytes_of_bodies),
            Middleware(Turnstile, max_requests=settings.max_requests),
        ],
    )
    problems.install(app)
    app.include_router(experiments.router)
    app.include_router(lifecycle.router)
    app.include_router(presets.router)
    app.include_router(health.router)
    docs.install(app)
    openapi.install(app)
    return app


def _lifespan(settings: Settings, reconcile: bool) -> "type[AbstractAsyncContextManager[None]]":
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings.storage.mkdir(parents=True, exist_ok=True)
        settings.home.mkdir(parents=True, exist_ok=True)
        app.state.identity = Identity.of(settings.home)
        # The parts end in reverse order, and each ends even if another could not.
        async with AsyncExitStack() as ends:
            database = Database(settings.database_url)
            ends.callback(database.dispose)
            await run_in_threadpool(database.migrate)
            jobs = ends.enter_context(RayJobs(settings.ray_url, token_from(os.environ, settings.ray_token_file)))
            control = ControlProcess(settings) if reconcile else None
            checkers = Checkers(settings.checkers or default_number())
            feeds = Feeds(
                database, max_streams=settings.max_streams, max_streams_each=settings.max_streams_per_experiment
            )
            reports = Turns(REPORTS_AT_ONCE, REPORTS_WAITING, "reports")
            app.state.context = Context(settings, database, jobs, control, checkers, feeds, reports)
            if control is not None:
                await run_in_threadpool(control.start)
                ends.push_async_callback(run_in_threadpool, control.stop)
            ends.push_async_callback(run_in_threadpool, checkers.close)
            ends.push_async_callback(feeds.close)
            yield

    return lifespan  # type: ignore[return-value]

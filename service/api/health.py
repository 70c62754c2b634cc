"""/healthz and /readyz: whether the process runs, and whether the service works."""

import tempfile
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from service.api.context import Context, InContext
from service.api.openapi import problem_responses
from service.api.problems import FieldProblem, problem
from service.identity import SERVICE, Identity

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The answer of a service that works."""

    status: str = "ok"


class Liveness(Health):
    """The answer of a process that runs: which program it is."""

    service: str = Field(SERVICE, description="The name of this service, the same in every version.")
    version: str = Field(description="The version of the service; every answer has it as X-Tet-Version.")
    instance: str = Field(description="The name of this stack; every answer has it as X-Tet-Instance.")


@router.get("/healthz", summary="Does the process run, and which program is it?")
async def healthz(request: Request) -> Liveness:
    """Answer as long as the process serves requests."""
    identity: Identity = request.app.state.identity
    return Liveness(version=identity.version, instance=identity.instance)


@router.get("/readyz", summary="Does the service work?", response_model=Health, responses=problem_responses(503))
def readyz(context: InContext) -> Health | JSONResponse:
    """Check that the database is reachable and migrated, the storage can be written, and the reconciler runs."""
    checks: dict[str, Callable[[Context], str | None]] = {
        "database": _database,
        "storage": _storage,
        "reconciler": _reconciler,
    }
    problems = {name: reason for name, check in checks.items() if (reason := check(context)) is not None}
    if not problems:
        return Health()
    detail = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
    errors = [FieldProblem(field=name, detail=reason) for name, reason in problems.items()]
    return problem(503, detail, kind="not-ready", title="Not ready", instance="/readyz", errors=errors)


def _database(context: Context) -> str | None:
    try:
        return context.database.pending_migration()
    except SQLAlchemyError as error:
        return f"cannot be reached ({type(error).__name__})"


def _storage(context: Context) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=context.settings.storage):
            return None
    except OSError as error:
        return f"cannot be written: {error.strerror} ({context.settings.storage})"


def _reconciler(context: Context) -> str | None:
    return None if context.control is None else context.control.problem()

"""/healthz and /readyz: whether the process runs, and whether the service works."""

import tempfile
from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from service.api.context import Context, InContext
from service.api.openapi import problem_responses
from service.api.problems import FieldProblem, problem

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The answer of a service that works."""

    status: str = "ok"


@router.get("/healthz", summary="Does the process run?")
async def healthz() -> Health:
    """Answer as long as the process serves requests."""
    return Health()


@router.get("/readyz", summary="Does the service work?", response_model=Health, responses=problem_responses(503))
def readyz(context: InContext) -> Health | JSONResponse:
    """Check that the database is reachable and migrated, that the storage takes files, and that the reconciler runs."""
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

"""Problem documents (RFC 9457) for all errors: errors that our code raises, FastAPI's errors, and unexpected errors."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from service.api.naming import identity_headers
from service.errors import Conflict, DocumentInvalid, FieldError, NotFound, Overloaded, SpecInvalid, TooCostly
from service.text import printable, printable_line

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# Prefix of the names of problem types. Programs compare these names; they are not addresses.
TYPE_PREFIX = "urn:tet:problem:"


class FieldProblem(BaseModel):
    """A fault in a request."""

    field: str = Field(description="The place, as a person writes it.", examples=["arms[0].stages[0].T"])
    pointer: str | None = Field(None, description="The same place as a JSON pointer.", examples=["/arms/0/stages/0/T"])
    value: str | int | float | bool | None = Field(None, description="The value there, shortened.", examples=[0])
    detail: str = Field(
        description="What is wrong, and what is accepted.",
        examples=["must be an integer at least 1 and at most 1,000"],
    )


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field("about:blank", description="The kind of problem.", examples=[TYPE_PREFIX + "spec-invalid"])
    title: str = Field(description="The kind of problem, in words.", examples=["The spec has faults"])
    status: int = Field(examples=[422])
    detail: str = Field(description="This problem, in words.", examples=["1 fault: arms[0].stages[0].T"])
    instance: str | None = Field(None, description="The path that was asked for.", examples=["/experiments"])
    errors: list[FieldProblem] | None = Field(
        None, description="Every fault of a document or a query; null for other problems."
    )
    line: int | None = Field(None, description="The line where a document is not well-formed, from 1.")
    column: int | None = Field(None, description="The column there, from 1.")


class ProblemResponse(JSONResponse):
    """A response that holds a problem document."""

    media_type = MEDIA_TYPE


def problem(
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    title: str | None = None,
    instance: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> ProblemResponse:
    """Return the response for a problem; `kind` names it for programs if the status alone is not enough."""
    document = Problem(
        type="about:blank" if kind is None else TYPE_PREFIX + kind,
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=printable(detail),
        instance=instance,
        **members,
    )
    return ProblemResponse(document.model_dump(mode="json", exclude_none=True), status, headers=headers)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    handlers: Mapping[type[Exception], Any] = {
        SpecInvalid: _spec_invalid,
        DocumentInvalid: _document_invalid,
        NotFound: _not_found,
        Conflict: _conflict,
        Overloaded: _overloaded,
        TooCostly: _too_costly,
        ClientDisconnect: _client_gone,
        NoConnectionFree: _no_connection_free,
        RequestValidationError: _request_invalid,
        HTTPException: _http,
        OperationalError: _database_away,
        InterfaceError: _database_away,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def fields(errors: Sequence[FieldError]) -> list[FieldProblem]:
    """Return faults in the form in which a problem document lists them."""
    return [
        FieldProblem(field=error.field, pointer=error.pointer, value=error.value, detail=error.detail)
        for error in errors
    ]


async def _spec_invalid(request: Request, error: SpecInvalid) -> ProblemResponse:
    listed = ", ".join(fault.field for fault in error.errors[:10])
    more = "" if error.total <= 10 else ", …"
    count = f"{error.total} fault" + ("s" if error.total != 1 else "")
    cut = "" if error.total == len(error.errors) else f" (the first {len(error.errors)} are listed)"
    return _at(
        request,
        422,
        f"{count}{cut}: {listed}{more}",
        kind="spec-invalid",
        title="The spec has faults",
        errors=fields(error.errors),
    )


async def _document_invalid(request: Request, error: DocumentInvalid) -> ProblemResponse:
    return _at(
        request,
        400,
        str(error),
        kind="document-invalid",
        title="The body cannot be read",
        line=error.line,
        column=error.column,
    )


async def _not_found(request: Request, error: NotFound) -> ProblemResponse:
    return _at(request, 404, str(error))


async def _conflict(request: Request, error: Conflict) -> ProblemResponse:
    return _at(request, 409, str(error))


async def _overloaded(request: Request, error: Overloaded) -> ProblemResponse:
    return _at(request, 429, str(error), headers={"Retry-After": str(error.retry_after_s)})


async def _too_costly(request: Request, error: TooCostly) -> ProblemResponse:
    return _at(request, 413, str(error))


async def _no_connection_free(request: Request, error: NoConnectionFree) -> ProblemResponse:
    detail = "all connections to the database are in use; send the request again"
    return _at(request, 429, detail, headers={"Retry-After": "2"})


async def _client_gone(request: Request, error: ClientDisconnect) -> Response:
    """Answer a client that has left before it sent its whole body: nobody reads the answer, and it is no error."""
    return Response(status_code=400)


async def _request_invalid(request: Request, error: RequestValidationError) -> ProblemResponse:
    faults = []
    for item in error.errors():
        fault = FieldError.at(item["loc"], item.get("input"), item["msg"].removeprefix("Value error, "))
        faults.append(FieldProblem(field=fault.field, value=fault.value, detail=fault.detail))
    listed = "; ".join(f"{fault.field}: {fault.detail}" for fault in faults)
    return _at(request, 422, listed, kind="request-invalid", title="The request has faults", errors=faults)


async def _http(request: Request, error: HTTPException) -> ProblemResponse:
    detail, headers = str(error.detail), dict(error.headers or {})
    if error.status_code == 404:  # the router's: our own code raises NotFound
        detail = f"there is nothing at {shortened(request.url.path)}; /docs lists the endpoints"
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
        detail = f"{request.method} is not allowed at {shortened(request.url.path)}; accepted: {headers['Allow']}"
    return _at(request, error.status_code, detail, headers=headers)


def _methods_at(request: Request) -> list[str]:
    """Return every method that a path accepts; the router gives only the methods of the first route that fits."""
    methods = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
    scopes = {method: {**request.scope, "method": method} for method in methods}
    fits = {method: [route.matches(scope)[0] for route in request.app.routes] for method, scope in scopes.items()}
    return [method for method, matches in fits.items() if Match.FULL in matches]


async def _database_away(request: Request, error: Exception) -> ProblemResponse:
    log.error("the database failed in %s %s: %s", request.method, shortened(request.url.path), error)
    return _at(request, 503, "the database cannot be reached; try again", headers={"Retry-After": "5"})


async def _unexpected(request: Request, error: Exception) -> ProblemResponse:
    mark = secrets.token_hex(4)
    log.error("error %s in %s %s", mark, request.method, shortened(request.url.path), exc_info=error)
    # Starlette answers this error outside of all middlewares, so none of them adds these headers.
    headers = identity_headers(request.app)
    return _at(request, 500, f"an unexpected error; look in the service's log for {mark}", headers=headers)


def _at(request: Request, status: int, detail: str, **members: Any) -> ProblemResponse:
    return problem(status, detail, instance=shortened(request.url.path), **members)


def shortened(path: str) -> str:
    """Return a path that is short enough for an error message."""
    return printable_line(path if len(path) <= 200 else path[:199] + "…")

"""The API's description: what FastAPI derives, and what it cannot know of bodies that we read ourselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.problems import MEDIA_TYPE, Problem
from service.documents import MEDIA_TYPES
from service.spec import Experiment

DESCRIPTION = """\
Post an experiment: arms (methods under comparison), each a list of training stages, run for every seed.
Watch it, and get the comparison: for each arm the mean over seeds, and the paired difference to the baseline.

Errors are problem documents (RFC 9457). Bodies are JSON or YAML 1.2; unknown keys are refused.
"""

_ANSWERS = {
    400: "The body is not well-formed.",
    404: "There is no such experiment or preset.",
    409: "The request does not fit the experiment's state, or the key was used for another body.",
    413: "The body is too large.",
    415: "The body is of another type than JSON or YAML.",
    422: "The request or the spec has faults; all of them are listed.",
    503: "A part of the service is not there.",
}


def _tet(epochs: int, T: int = 4) -> dict[str, Any]:
    return {"kind": "train", "T": T, "epochs": epochs, "loss": {"name": "tet", "lamb": 0.05, "phi": 1.0}}


EXAMPLE = {
    "name": "digits: SDT, TET, TIT",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small"},
    "arms": [
        {"name": "SDT", "stages": [{"kind": "train", "T": 4, "epochs": 20, "loss": {"name": "sdt"}}]},
        {"name": "TET", "stages": [_tet(20)]},
        {"name": "TIT", "stages": [_tet(20, T=2), _tet(5)]},
    ],
    "baseline": "SDT",
    "seeds": [0, 1, 2],
    "resources": {"cpus_per_trial": 1, "gpus_per_trial": 0, "workers_per_trial": 1},
}

_SPEC_BODY = {
    "required": False,  # with a preset, the body may be empty
    "content": {
        media_type: {"schema": {"$ref": "#/components/schemas/Spec"}}
        | ({"example": EXAMPLE} if media_type == "application/json" else {})
        for media_type in MEDIA_TYPES
    },
}
# For the endpoints that take a spec; they read the body themselves, to say all that is wrong with it.
TAKES_SPEC: dict[str, Any] = {"requestBody": _SPEC_BODY}


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns FastAPI's `responses` for the problems that an endpoint answers with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _ANSWERS[status], "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Makes `app` describe itself with the schemas of specs and problems."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, model in (("Spec", Experiment), ("Problem", Problem)):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema
    _drop_fastapi_errors(document)
    return document


def _drop_fastapi_errors(document: dict[str, Any]) -> None:
    """Takes out the 422 that FastAPI adds to every endpoint with parameters: ours are problem documents."""
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            if MEDIA_TYPE not in operation["responses"].get("422", {}).get("content", {MEDIA_TYPE: None}):
                del operation["responses"]["422"]

"""The OpenAPI description: FastAPI's own, and the bodies that the endpoints read themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.answers.reports import ReportView
from service.api.problems import MEDIA_TYPE, Problem
from service.api.turnstile import HEALTH
from service.documents import MEDIA_TYPES
from service.spec import Experiment

DESCRIPTION = """\
Post an experiment: arms (methods under comparison), each a list of stages, run for every seed.
Watch it, and get the comparison: for each arm the mean over seeds, and the paired difference to the baseline.

Errors are problem documents (RFC 9457). Bodies are JSON or YAML 1.2; unknown keys are refused.
"""

_ANSWERS = {
    400: "The body is not well-formed.",
    404: "There is no such experiment or preset, or it does not have what is asked for.",
    409: "The request does not fit the experiment's state, or the `Idempotency-Key` was used with another body.",
    413: "The body is too large, or takes too much time or memory to check.",
    415: "The body is neither JSON nor YAML.",
    422: "The request or the spec has faults; all of them are listed.",
    429: "The service has too much to do: send the request again after `Retry-After` seconds.",
    503: "A part of the service does not work.",
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

_SPEC, _CHANGES = ({"$ref": f"#/components/schemas/{name}"} for name in ("Spec", "SpecChanges"))


def _body(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a body; it may be empty where a preset is named, or where nothing is to change."""
    content = {media_type: {"schema": schema} for media_type in MEDIA_TYPES}
    content["application/json"] |= {"example": example}
    return {"requestBody": {"required": False, "content": content}}


# For endpoints that take a spec or, with a preset, a part of a spec. They read the body themselves, to report all
# faults at once.
TAKES_SPEC = _body({"anyOf": [_SPEC, _CHANGES]}, EXAMPLE)
TAKES_RESOURCES = _body(
    {
        "title": "ResourcesChanges",
        "type": "object",
        "properties": {"resources": {"$ref": "#/components/schemas/Resources"}},
        "additionalProperties": False,
    },
    {"resources": {"workers_per_trial": 4}},
)
TAKES_CHANGES = _body(_CHANGES, {"name": "the same with other seeds", "seeds": [3, 4, 5]})


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for the problems that an endpoint answers with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _ANSWERS[status], "content": content} for status in statuses}


# For a 202: the address of the new resource.
MADE: dict[int | str, dict[str, Any]] = {
    202: {
        "headers": {
            "Location": {
                "description": "The address of the new resource.",
                "schema": {"type": "string"},
            }
        }
    }
}


def install(app: FastAPI) -> None:
    """Add the schemas of specs and problems to the description of `app`."""

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
    reference = "#/components/schemas/{model}"
    for name, schema in (
        ("Spec", Experiment.model_json_schema(ref_template=reference)),
        ("Problem", Problem.model_json_schema(ref_template=reference)),
        ("ReportView", ReportView.model_json_schema(ref_template=reference, mode="serialization")),
    ):
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema
    schemas["SpecChanges"] = _changes(schemas["Spec"])
    _drop_fastapi_errors(document)
    _add_overload(document)
    return document


def _add_overload(document: dict[str, Any]) -> None:
    """Add the 429 that every endpoint may answer with, except the uncounted health endpoints."""
    header = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    refused = problem_responses(429)[429] | {"headers": {"Retry-After": header}}
    for path, operations in document["paths"].items():
        if path not in HEALTH:
            for operation in operations.values():
                operation["responses"]["429"] = refused


def _changes(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a part of a spec. It is merged into a spec, so no key is required."""
    return {
        "title": "SpecChanges",
        "type": "object",
        "description": "The part of a spec that changes: blocks are merged, lists are replaced whole.",
        "properties": {key: _loosened(each) for key, each in spec["properties"].items()},
        "additionalProperties": False,
    }


def _loosened(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a key's schema, in which a block may lack any of its keys: the merged spec is checked later."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [_loosened(each) for each in schema["anyOf"]]}
    if "$ref" in schema or "oneOf" in schema:
        return {key: schema[key] for key in ("title", "description") if key in schema} | {"type": "object"}
    return schema


def _drop_fastapi_errors(document: dict[str, Any]) -> None:
    """Remove the 422 that FastAPI adds to every endpoint with parameters: our errors are problem documents."""
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            if MEDIA_TYPE not in operation["responses"].get("422", {}).get("content", {MEDIA_TYPE: None}):
                del operation["responses"]["422"]

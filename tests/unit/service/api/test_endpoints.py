"""Tests that every endpoint has a client method, and is in the guide and in the benchmark. Exceptions have a reason."""

import re

import pytest

from benchmarks.service.api.requests import ASIDE, NOT_MEASURED, POSTS, Mix
from benchmarks.service.api.stored import Stored, spec
from service.plan import plan
from tests.root import ROOT
from tests.routes import DESCRIPTION

ENDPOINTS = {f"{method.upper()} {path}" for path, item in DESCRIPTION["paths"].items() for method in item}
# Endpoints that `service.cli.client` does not use, each with the reason.
WITHOUT_A_METHOD = {
    "GET /experiments/{experiment_id}/events": "for pages and programs: `tet follow` asks for the experiment itself",
    "GET /experiments/{experiment_id}/verifications": "`tet verify` asks for the replay that it has posted",
    "GET /presets/{name}": "`tet submit --preset` sends the name",
    "GET /healthz": "for programs that supervise the process",
    "GET /readyz": "`service.cli.stack.probe` asks it, before there is a client",
}


def anonymous(endpoint: str) -> str:
    """Return an endpoint without the names of its parameters."""
    return re.sub(r"\{\w+\}", "{}", endpoint)


def test_every_endpoint_has_a_client_method_or_a_reason() -> None:
    code = (ROOT / "service" / "cli" / "client.py").read_text()
    asked = {f"{method} {path}" for method, path in re.findall(r'\("([A-Z]+)", f?"(/[^"]*)"', code)}
    assert sorted([*map(anonymous, asked), *map(anonymous, WITHOUT_A_METHOD)]) == sorted(map(anonymous, ENDPOINTS))


def test_every_endpoint_is_in_the_guide() -> None:
    guide = (ROOT / "docs" / "guides" / "getting-started.md").read_text().partition("\n## The API\n")[2]
    named = re.findall(r"`([A-Z]+ /[^`]*)`", guide)
    assert set(map(anonymous, named)) == set(map(anonymous, ENDPOINTS))


def test_every_endpoint_that_changes_something_is_measured_or_has_a_reason() -> None:
    changes = {endpoint for endpoint in ENDPOINTS if not endpoint.startswith("GET ")}
    assert {*NOT_MEASURED, *(f"POST {path}" for path in POSTS)} == changes


@pytest.mark.parametrize("endpoint", sorted(endpoint for endpoint in ENDPOINTS if endpoint.startswith("GET ")))
def test_every_get_endpoint_is_measured_or_set_aside(endpoint: str) -> None:
    ids = {state: [f"{number:020x}" for number in range(0, 1600, 16)] for state in ("succeeded", "failed", "queued")}
    mix = Mix(DESCRIPTION, Stored(ids, plan(spec())))
    path = endpoint.removeprefix("GET ")
    names = {request.name.partition("?")[0] for request in mix.requests(200)}
    assert (f"GET {path}" in names) != (path in ASIDE)

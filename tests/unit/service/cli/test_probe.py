"""Tests of the health checks, with a server that answers as Ray's dashboard does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.cli.exchange import API_TITLE
from service.cli.stack import probe
from service.identity import Identity
from service.settings import Settings
from tests.serving import running
from tests.strangers import StrangeServer, http, http_json, strange


class Dashboard(ThreadingHTTPServer):
    """A dashboard without jobs, with the nodes that a test sets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.nodes: Any = {"data": {"summary": []}}


class _Handler(BaseHTTPRequestHandler):
    server: Dashboard

    def do_GET(self) -> None:
        content = json.dumps(self.server.nodes if self.path.startswith("/nodes") else []).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    with running(Dashboard()) as server:
        yield server


@pytest.fixture
def settings(dashboard: Dashboard, tmp_path: Path) -> Settings:
    (tmp_path / "ray.token").write_text("secret")
    url = f"http://127.0.0.1:{dashboard.server_port}"
    return Settings.from_environment({"TET_HOME": str(tmp_path), "TET_RAY_URL": url})


def test_ray_with_a_living_node_is_healthy(dashboard: Dashboard, settings: Settings) -> None:
    dead, alive = {"hostname": "a", "raylet": {"state": "DEAD"}}, {"hostname": "b", "raylet": {"state": "ALIVE"}}
    dashboard.nodes = {"data": {"summary": [dead, alive]}}
    probe.ray(settings)


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [{"hostname": "a", "raylet": {"state": "DEAD"}}],
        [{"raylet": {"state": "ALIVE"}}],  # it has joined, and its agent has not reported yet
        [{"hostname": "a"}],
    ],
)
def test_ray_without_a_living_node_is_unhealthy(dashboard: Dashboard, settings: Settings, nodes: list[Any]) -> None:
    dashboard.nodes = {"data": {"summary": nodes}}
    with pytest.raises(probe.Unhealthy, match="no node is alive"):
        probe.ray(settings)


@pytest.mark.parametrize("answer", [[], {"data": None}, {"data": {"summary": ["a"]}}, "text"])
def test_an_answer_in_another_form_is_unhealthy(dashboard: Dashboard, settings: Settings, answer: Any) -> None:
    dashboard.nodes = answer
    with pytest.raises(probe.Unhealthy, match="answers in an unknown form"):
        probe.ray(settings)


def test_a_node_of_this_machine_is_looked_for_by_its_name(dashboard: Dashboard, settings: Settings) -> None:
    dashboard.nodes = {"data": {"summary": [{"hostname": "elsewhere", "raylet": {"state": "ALIVE"}}]}}
    with pytest.raises(probe.Unhealthy, match="the head knows no living node on"):
        probe.ray_node(settings)


def settings_of(home: Path, server: StrangeServer) -> Settings:
    url = f"http://127.0.0.1:{server.port}"
    values = {"TET_HOME": str(home), "TET_API_PORT": str(server.port), "TET_MLFLOW_URL": url, "TET_RAY_URL": url}
    (home / "ray.token").write_text("secret")
    return Settings.from_environment(values)


STRANGE = [
    http(b"<html>", status="200 OK"),
    http_json({}),
    http_json([]),
    http_json({"experiments": [], "status": "ok", "data": {}}),
    http_json({"experiments": [{"id": 1}]}),
    http(b"", status="302 Found", Location="/login"),
    http(b"\x00\xff"),
    b"SSH-2.0-OpenSSH_9.2\r\n",
]


@pytest.mark.parametrize("check", ["api", "mlflow", "ray", "ray-node"])
@pytest.mark.parametrize("answer", STRANGE)
def test_another_program_is_not_taken_for_a_healthy_component(tmp_path: Path, check: str, answer: bytes) -> None:
    with strange(answer) as server:
        settings = settings_of(tmp_path, server)
        with pytest.raises(probe.Unhealthy, match=f"http://127.0.0.1:{server.port}") as caught:
            probe.CHECKS[check](settings)
    assert str(caught.value).isprintable()


def test_only_the_api_of_this_stack_is_healthy(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    own, other = Identity.of(tmp_path), Identity.of(tmp_path / "other")
    ready = {"status": "ok"}
    with strange(http_json(ready, **own.headers())) as server:
        probe.api(settings_of(tmp_path, server))
    newer = Identity("9.0.0", own.instance)
    with strange(http_json(ready, **newer.headers())) as server:
        probe.api(settings_of(tmp_path, server))
    with strange(http_json(ready, **other.headers())) as server:
        match = f"the API of another stack .instance {other.instance}, version .*TET_HOME={tmp_path} is instance"
        with pytest.raises(probe.Unhealthy, match=match):
            probe.api(settings_of(tmp_path, server))
    described = {"/openapi.json": http_json({"info": {"title": API_TITLE}})}
    earlier = pytest.raises(probe.Unhealthy, match="an earlier version of the API")
    with strange(http_json(ready), by_path=described) as server, earlier:
        probe.api(settings_of(tmp_path, server))


def test_an_api_that_is_not_ready_says_why(tmp_path: Path) -> None:
    problem = {"title": "Not ready", "detail": "database: cannot be reached"}
    headers = Identity.of(tmp_path).headers()
    fault = pytest.raises(probe.Unhealthy, match=r"/readyz answers 503: database: cannot be reached$")
    with strange(http_json(problem, "503 Service Unavailable", **headers)) as server, fault:
        probe.api(settings_of(tmp_path, server))


def test_mlflow_is_recognised_by_its_experiments_or_if_it_has_none_by_its_version(tmp_path: Path) -> None:
    listed = {"experiments": [{"experiment_id": "0", "name": "Default", "lifecycle_stage": "active"}]}
    with strange(http_json(listed)) as server:
        probe.mlflow(settings_of(tmp_path, server))
    with strange(http_json({}), by_path={"/version": http(b"3.17.2")}) as server:
        probe.mlflow(settings_of(tmp_path, server))


def test_an_answer_that_drips_does_not_delay_the_check_beyond_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "WITHIN_S", 0.5)
    with strange(b"HTTP/1.1 200 OK\r\n\r\n", drips=b"x") as server:
        for check in (probe.api, probe.mlflow, probe.ray):
            with pytest.raises(probe.Unhealthy, match=r"not complete after 0\.5 s"):
                check(settings_of(tmp_path, server))

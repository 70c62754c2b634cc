"""Tests of the health checks, with a server that answers as Ray's dashboard does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.cli.stack import probe
from service.settings import Settings
from tests.serving import running


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

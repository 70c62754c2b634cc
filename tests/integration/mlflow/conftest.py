import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.ports import free_ports
from tests.serving import running

# The longest wait, in s, for the server's first answer.
START_S = 120


@contextmanager
def mlflow_server(home: Path, port: int) -> Iterator[str]:
    """Start an MLflow server on SQLite with proxied artifacts, and yield its URL."""
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        f"--backend-store-uri=sqlite:///{home / 'mlflow.db'}",
        f"--artifacts-destination={home / 'artifacts'}",
    ]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _await(url, server, home)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _await(url: str, server: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            if httpx.post(f"{url}/api/2.0/mlflow/experiments/search", json={"max_results": 1}).is_success:
                return
        except httpx.HTTPError:
            pass
        assert server.poll() is None, (home / "log").read_text()
        assert time.monotonic() < deadline, (home / "log").read_text()
        time.sleep(0.1)


class _Relay(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _RelayServer)
        with socket.create_connection(("127.0.0.1", self.server.to)) as server:
            back = threading.Thread(target=_pour, args=(server, self.request))
            back.start()
            _pour(self.request, server)
            back.join()


class _RelayServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    to: int


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def reachable_at(url: str, port: int) -> Iterator[str]:
    """Forward a port to a server, as if a server had started there, and yield the URL with that port."""
    relay = _RelayServer(("127.0.0.1", port), _Relay)
    relay.to = int(url.rpartition(":")[2])
    relay.daemon_threads = True
    relay.block_on_close = False
    with running(relay):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="package")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server for all tests here, and yield its URL."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), free_ports(1)[0]) as url:
        yield url

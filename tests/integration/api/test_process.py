import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.root import ROOT


def command() -> list[str]:
    return [sys.executable, "-m", "service.api"]


def test_the_process_serves_and_ends_on_sigterm_in_spite_of_an_open_stream(
    tmp_path: Path, spec: dict[str, Any]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {
        "TET_HOME": str(tmp_path / "home"),
        "TET_API_PORT": str(port),
        "TET_RAY_URL": "http://127.0.0.1:9",
    }
    process = subprocess.Popen(command(), cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("Uvicorn running" in line for line in lines), "the API did not start"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            assert client.get("/readyz").status_code == 200
            experiment_id = client.post("/experiments", json=spec).json()["id"]
            with client.stream("GET", f"/experiments/{experiment_id}/events") as answer:
                assert next(answer.iter_lines())
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode in (0, -signal.SIGTERM)


@pytest.mark.parametrize(("name", "value"), [("TET_API_PORT", "x"), ("TET_DATABASE_URL", "mysql://a")])
def test_an_invalid_setting_is_named_and_nothing_starts(tmp_path: Path, name: str, value: str) -> None:
    env = os.environ | {"TET_HOME": str(tmp_path / "home"), name: value}
    ended = subprocess.run(command(), cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert name in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "home").exists()

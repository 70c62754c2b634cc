"""An MLflow server for the benchmark, started as by `tet up`."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

START_S = 120.0


@contextmanager
def mlflow_server(folder: Path, environment: Mapping[str, str], port: int) -> Iterator[None]:
    """Run a server on SQLite, with one worker, within this context."""
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}",
        f"--artifacts-destination={folder / 'artifacts'}",
    ]
    options = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(command, env={**environment, **options}, stdout=log, stderr=log)
    try:
        _await(f"http://127.0.0.1:{port}/health", process)
        yield
    finally:
        workers = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait()
        for worker in psutil.wait_procs(workers, timeout=10)[1]:
            worker.kill()


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            if httpx.get(url, timeout=5, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        assert process.poll() is None, "MLflow ended at once"
        assert time.monotonic() < deadline, f"MLflow does not answer after {START_S:.0f} s"
        time.sleep(0.5)

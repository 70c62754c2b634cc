"""The processes of the benchmark: the API, a server for Ray's Jobs API, and drivers that report epochs."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.service.api.stored import NUM_RUNNING, Stored
from benchmarks.service.cluster.nodes import ROOT
from service.events import StageChanged
from service.settings import Settings
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.ports import free_ports

START_S = 120.0
# Seconds between two epochs that a running experiment reports.
EPOCH_S = 1.0


@dataclass(frozen=True)
class Service:
    """The settings of the running service, and the environment that gives them to a process."""

    settings: Settings
    environment: Mapping[str, str]

    @property
    def port(self) -> int:
        """The port on which the API listens."""
        return self.settings.api_port


@contextmanager
def ray_jobs(port: int, environment: Mapping[str, str]) -> Iterator[None]:
    """Run the server for Ray's Jobs API within this context."""
    command = [sys.executable, "-m", "benchmarks.service.api.jobs_server", str(port)]
    process = subprocess.Popen(command, env=dict(environment))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def settings_for(home: Path, database_url: str, environment: Mapping[str, str]) -> Service:
    """Return settings with free ports; the limit of running experiments is reached, so all others wait."""
    api, ray = free_ports(2)
    settings = Settings.model_validate(
        {
            "home": home,
            "database_url": database_url,
            "api_port": api,
            "ray_url": f"http://127.0.0.1:{ray}",
            "ray_dashboard_port": ray,
            "max_running": NUM_RUNNING,
            "min_free_bytes": 0,
        }
    )
    settings.storage.mkdir(parents=True)
    return Service(settings, {**environment, **settings.environment(), "PYTHONPATH": str(ROOT)})


@contextmanager
def api(service: Service) -> Iterator[psutil.Process]:
    """Run the API with its reconciler and housekeeper within this context, and yield its process."""
    log = service.settings.home / "api.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "service.api"]
        process = subprocess.Popen(command, env=dict(service.environment), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_S
        while not _answers(f"{service.settings.api_url}/readyz"):
            assert process.poll() is None, f"the API ended at once: {log.read_text()}"
            assert time.monotonic() < deadline, f"the API did not start: {log.read_text()}"
            time.sleep(0.2)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def drivers(service: Service, stored: Stored) -> Iterator[None]:
    """Report one epoch a second for each running experiment within this context, as its driver would."""
    folders = [ExperimentFolder(service.settings.storage, each) for each in stored.ids["running"]]
    for folder in folders:
        folder.driver(1).mkdir(parents=True)
    stop = threading.Event()
    thread = threading.Thread(target=_report_epochs, args=(folders, stored.chains[-1].id, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _report_epochs(folders: list[ExperimentFolder], chain: str, stop: threading.Event) -> None:
    epoch = 0
    while not stop.wait(EPOCH_S):
        epoch += 1
        metrics = {"train/loss": 1 / epoch, "test/loss": 1 / epoch, "test/accuracy": 1 - 1 / epoch}
        event = StageChanged(
            chain=chain,
            stage=0,
            state=WorkState.RUNNING,
            epoch=epoch,
            metrics=metrics,
            train_time_s=1.0 * epoch,
            initial_sha256="0" * 64,
            weights_sha256=f"{epoch:064x}",
            attempts=1,
        )
        for folder in folders:
            with folder.events(1).open("a") as file:
                file.write(event.model_dump_json() + "\n")

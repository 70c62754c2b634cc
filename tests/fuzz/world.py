"""The surroundings of the service, fast enough for thousands of steps.

They are the served API, a database, a storage, a server with Ray's Jobs API, and the drivers of its jobs.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import update

from service.control.housekeeper import Housekeeper
from service.control.jobs import RayJobs
from service.control.reconciler import Reconciler
from service.settings import Settings
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.tables import ExperimentRow, Table
from tests.fuzz.drivers import Driver, Journal, new_driver
from tests.integration.api.conftest import served
from tests.integration.control.conftest import JobServer, job_server

MAX_RUNNING = 2
LIVE = ("PENDING", "RUNNING")


class InterruptedJobs(RayJobs):
    """A client of Ray's Jobs API that runs a function before its n-th call, as if another process acted then."""

    def __init__(self, url: str, before: int, happens: Callable[[], None]) -> None:
        super().__init__(url, lambda: "token")
        self._left, self._happens = before, happens

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        self._left -= 1
        if self._left == 0:
            self._happens()
        return super()._request(method, path, **arguments)


@dataclass
class World:
    """The service and its surroundings."""

    http: httpx.Client
    database: Database
    ray: JobServer
    settings: Settings
    jobs: RayJobs
    journals: dict[str, Journal] = field(default_factory=dict)
    # By submission id. If a job is submitted again after Ray forgot it, it gets another driver.
    drivers: dict[str, Driver] = field(default_factory=dict)
    # Drivers whose job was submitted again, so that it has another driver now.
    zombies: list[Driver] = field(default_factory=list)
    storage_is_full: bool = False

    def reset(self) -> None:
        """Delete everything that was stored, and repair all faults."""
        with self.database.engine.begin() as connection:
            for table in reversed(Table.metadata.sorted_tables):
                connection.execute(table.delete())
        shutil.rmtree(self.settings.storage)
        self.settings.storage.mkdir()
        for each in (self.ray.jobs, self.ray.posts, self.ray.stops, self.ray.tokens, self.journals, self.drivers):
            each.clear()
        self.zombies.clear()
        self.heal()

    def heal(self) -> None:
        """Repair all faults: Ray answers, and the storage is not full."""
        self.ray.broken = self.ray.loses_answers = self.storage_is_full = False

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Make a request and return the answer: never a 5xx, and a problem document if it is an error."""
        answer = self.http.request(method, path, **arguments)
        call = f"{method} {path} {arguments}: {answer.status_code} {answer.text}"
        assert answer.status_code < 500, call
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json", call
            problem = answer.json()
            assert problem["status"] == answer.status_code, call
            assert problem["detail"], call
        return answer

    def folder(self, experiment_id: str) -> ExperimentFolder:
        return ExperimentFolder(self.settings.storage, experiment_id)

    # -- the service's own threads, step by step ---------------------------------------------------------------

    def round(self, jobs: RayJobs | None = None) -> None:
        """Run one round of a new reconciler, as after a restart."""
        changes = {"min_free_bytes": 2**62} if self.storage_is_full else {}
        settings = Settings.model_validate({**dict(self.settings), **changes})
        Reconciler(self.database, jobs or self.jobs, settings).round()

    def interrupted_round(self, before: int, happens: Callable[[], None]) -> None:
        """Run one round, and call `happens` before the round's call to Ray with the number `before`."""
        with InterruptedJobs(self.ray.url, before, happens) as jobs:
            self.round(jobs)

    def tidy(self) -> None:
        """Run one round of the housekeeper."""
        Housekeeper(self.database, self.settings).round()

    def hurry(self) -> None:
        """End all waits for the next driver."""
        with self.database.engine.begin() as connection:
            waiting = ExperimentRow.retry_at.is_not(None)
            connection.execute(update(ExperimentRow).where(waiting).values(retry_at=ExperimentRow.created_at))

    # -- Ray's side --------------------------------------------------------------------------------------------

    def live_jobs(self) -> list[str]:
        """Return the ids of drivers' jobs that Ray knows and that have not ended."""
        return sorted(name for name, job in self.ray.jobs.items() if job["status"] in LIVE and "-v" not in name)

    def start_job(self, name: str) -> None:
        """Start a job that Ray has accepted."""
        job = self.ray.jobs[name]
        if name in self.drivers:
            self.zombies.append(self.drivers[name])
        driver = new_driver(self.folder(job["metadata"]["experiment"]), self.journals, job)
        self.drivers[name] = driver
        if driver.start():
            job["status"] = "RUNNING"
        else:
            self.ray.end(name, "FAILED", "FileExistsError")

    def end_jobs(self) -> None:
        """Let Ray notice the end of drivers that have ended."""
        for name in self.live_jobs():
            driver = self.drivers.get(name)
            if self.ray.jobs[name]["status"] == "RUNNING" and driver is not None and not driver.alive:
                self.ray.end(name, "SUCCEEDED" if driver.has_ended else "FAILED")

    def replays(self) -> list[str]:
        """Return the ids of jobs that replay a stage and have not ended."""
        return sorted(name for name, job in self.ray.jobs.items() if job["status"] in LIVE and "-v" in name)

    def advance_replay(self, name: str) -> None:
        """Start a replay, or end it with a result; let it fail if the experiment was deleted."""
        job = self.ray.jobs[name]
        folder = self.folder(job["metadata"]["experiment"])
        target = folder.verification(int(job["metadata"]["verification"]))
        if job["status"] == "PENDING" and folder.spec.exists():
            target.mkdir(parents=True, exist_ok=True)
            job["status"] = "RUNNING"
        elif job["status"] == "RUNNING" and target.exists():
            (target / "result.json").write_text(json.dumps({"state": "equal", "reason": "", "epochs": 1}))
            self.ray.end(name, "SUCCEEDED")
        else:
            self.ray.end(name, "FAILED", "FileNotFoundError")

    def may_work(self, name: str) -> bool:
        """Return whether a job may still work: its driver has not ended, or nothing keeps it from its start."""
        driver = self.drivers.get(name)
        if self.ray.jobs[name]["status"] == "PENDING":
            attempt = int(self.ray.jobs[name]["metadata"]["driver"])
            return not self.folder(self.ray.jobs[name]["metadata"]["experiment"]).driver(attempt).exists()
        return driver is not None and driver.alive


@contextmanager
def world(home: Path, database_url: str) -> Iterator[World]:
    """Start the surroundings, yield them, and stop them at the end of the context."""
    with job_server() as ray:
        variables = {
            "TET_HOME": str(home),
            "TET_DATABASE_URL": database_url,
            "TET_RAY_URL": ray.url,
            "TET_MAX_RUNNING": str(MAX_RUNNING),
            "TET_MLFLOW_URL": "http://127.0.0.1:9",
        }
        settings = Settings.from_environment(variables)
        with served(settings) as http, RayJobs(ray.url, lambda: "token") as jobs:
            database = Database(settings.database_url)
            try:
                yield World(http, database, ray, settings, jobs)
            finally:
                database.dispose()

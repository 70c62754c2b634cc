import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.control.jobs import RayJobs
from service.control.reconciler import Reconciler
from service.events import Event
from service.plan import plan
from service.settings import Settings
from service.spec import parse
from service.states import Wanted
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.tables import ExperimentRow
from tests.serving import running
from tests.unit.service.spec.test_spec import spec


@dataclass
class JobServer:
    """A server with the routes of Ray's Jobs API that the service uses; a test can break it."""

    url: str
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    # Statuses and bodies that replace the real answers, by path.
    replies: dict[str, tuple[int, Any]] = field(default_factory=dict)
    broken: bool = False
    loses_answers: bool = False

    def end(self, submission: str, status: str = "FAILED", message: str = "it died") -> None:
        self.jobs[submission] |= {"status": status, "message": message}


def _handler(server: JobServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, body: Any) -> None:
            data = (json.dumps(body) if not isinstance(body, str) else body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            server.tokens.append(self.headers.get("x-ray-authorization"))
            name = self.path.removeprefix("/api/jobs/").removesuffix("/logs")
            if self.path in server.replies:
                self.answer(*server.replies[self.path])
            elif server.broken:
                self.answer(503, "Traceback\nthe head is busy")
            elif name not in server.jobs:
                self.answer(404, f"Job {name} does not exist")
            elif self.path.endswith("/logs"):
                self.answer(200, {"logs": f"what {name} printed"})
            else:
                self.answer(200, server.jobs[name])

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if server.broken:
                self.answer(503, "the head is busy")
            elif self.path.endswith("/stop"):
                server.stops.append(self.path.split("/")[3])
                self.answer(200, {"stopped": True})
            else:
                job = json.loads(body)
                name = job["submission_id"]
                server.posts.append(name)
                if name in server.jobs:
                    self.answer(500, f"Traceback\nValueError: Job with submission_id {name} already exists.")
                    return
                server.jobs[name] = {"status": "PENDING", "message": "", **job}
                if server.loses_answers:
                    self.close_connection = True
                else:
                    self.answer(200, {"submission_id": name})

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def job_server() -> Iterator[JobServer]:
    """Run the server as long as the context lasts."""
    state = JobServer("")
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    with running(http):
        yield state


@pytest.fixture
def ray() -> Iterator[JobServer]:
    with job_server() as state:
        yield state


@dataclass
class Desk:
    """A database, a job server, and a reconciler whose rounds the test starts."""

    database: Database
    ray: JobServer
    settings: Settings
    jobs: RayJobs

    def rounds(self, count: int = 1) -> None:
        """Do rounds, each by a new reconciler, as after a restart."""
        for _ in range(count):
            Reconciler(self.database, self.jobs, self.settings).round()

    def post(self) -> str:
        parsed = parse(spec())
        with self.database.session() as repository:
            return repository.experiments.create(parsed, plan(parsed)).id

    def row(self, experiment_id: str) -> ExperimentRow:
        with self.database.reading() as repository:
            return repository.experiments.get(experiment_id)

    def folder(self, experiment_id: str) -> ExperimentFolder:
        return ExperimentFolder(self.settings.storage, experiment_id)

    def say(self, experiment_id: str, *events: Event, attempt: int = 1) -> None:
        """Append events to a driver's event file."""
        folder = self.folder(experiment_id)
        folder.driver(attempt).mkdir(parents=True, exist_ok=True)
        with folder.events(attempt).open("a") as file:
            file.writelines(event.model_dump_json() + "\n" for event in events)

    def want(self, experiment_id: str, wanted: Wanted) -> None:
        with self.database.session() as repository:
            repository.requests.want(experiment_id, wanted)

    def cancel(self, experiment_id: str) -> None:
        self.want(experiment_id, Wanted.CANCEL)

    def first_chain(self, experiment_id: str) -> str:
        with self.database.reading() as repository:
            return repository.work.chains(experiment_id)[0].id

    def work_states(self, experiment_id: str) -> set[str]:
        """Return the states of all chains and stages."""
        with self.database.reading() as repository:
            chains = repository.work.chains(experiment_id)
        stages = {stage.state for chain in chains for stage in chain.stages}
        return stages | {chain.state for chain in chains}

    def run(self, experiment_id: str) -> str:
        """Bring an experiment to `running`; return its driver's submission id."""
        self.rounds(2)
        name = f"tet-{experiment_id}-{self.row(experiment_id).driver_attempt}"
        self.ray.jobs[name]["status"] = "RUNNING"
        self.rounds()
        assert self.row(experiment_id).state == "running"
        return name

    def hurry(self, experiment_id: str) -> None:
        """End the wait before the next driver now."""
        row = self.row(experiment_id)
        assert row.retry_at is not None
        with self.database.session() as repository:
            repository.experiments.get(experiment_id).retry_at = row.created_at


@pytest.fixture
def desk(tmp_path: Path, ray: JobServer) -> Iterator[Desk]:
    settings = Settings.from_environment({"TET_HOME": str(tmp_path), "TET_RAY_URL": ray.url})
    settings.storage.mkdir()
    database = Database(settings.database_url)
    database.migrate()
    with RayJobs(ray.url, lambda: "token") as jobs:
        yield Desk(database, ray, settings, jobs)
    database.dispose()

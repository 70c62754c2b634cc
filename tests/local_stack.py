"""A whole stack for tests, started as a user would, on free ports and in a folder of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from service.settings import Settings
from tests.ports import free_ports
from tests.root import ROOT

Json = dict[str, Any]

PORTS = ("API", "MLFLOW", "RAY_DASHBOARD", "RAY_GCS", "RAY_CLIENT", "RAY_AGENT")
POLL_S = 0.2
# Far more than it takes, but on a machine that is busy with other things.
END_S = 600


@dataclass(frozen=True)
class LocalStack:
    """A stack that is up."""

    settings: Settings
    environment: dict[str, str]

    @property
    def http(self) -> httpx.Client:
        """A client of its API."""
        return httpx.Client(base_url=self.settings.api_url, timeout=30)

    def tet(self, *arguments: str) -> str:
        """What a `tet` command prints; it has to succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "service.cli.main", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"tet {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def post(self, spec: Json, **headers: str) -> httpx.Response:
        """Posts a spec."""
        with self.http as http:
            return http.post("/experiments", json=spec, headers=headers)

    def get(self, path: str) -> Json:
        """What the API answers at a path."""
        with self.http as http:
            answer = http.get(path)
            assert answer.status_code == 200, answer.text
            found: Json = answer.json()
            return found

    def await_experiment(self, experiment_id: str, until: Callable[[Json], bool], within_s: float = END_S) -> Json:
        """The experiment as soon as it is as wanted."""
        deadline = time.monotonic() + within_s
        while True:
            found = self.get(f"/experiments/{experiment_id}")
            if until(found):
                return found
            said = f"still {found['state']} ({found['reason']})"
            assert time.monotonic() < deadline, f"{said}: {json.dumps(found)[:2000]}"
            time.sleep(POLL_S)

    def await_end(self, experiment_id: str) -> Json:
        """The experiment once it has ended."""
        ended = ("succeeded", "failed", "cancelled")
        return self.await_experiment(experiment_id, lambda found: found["state"] in ended)

    def ray(self, path: str) -> Any:
        """What Ray's dashboard answers at a path."""
        token = self.settings.ray_token_file.read_text().strip()
        answer = httpx.get(self.settings.ray_url + path, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    def trial_process(self, label: str) -> psutil.Process | None:
        """The process of the trial of this label, if one is alive and not stopped."""
        actors = self.ray("/logical/actors")["data"]["actors"].values()
        pids = [a["pid"] for a in actors if a["state"] == "ALIVE" and a["reprName"].startswith(label)]
        return next((found for pid in reversed(pids) if (found := _at_work(pid)) is not None), None)


def _at_work(pid: int) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return None if process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE) else process
    return None


@contextmanager
def local_stack(home: Path, **variables: str) -> Iterator[LocalStack]:
    """A stack that is up for as long as the context lasts."""
    ports = {f"TET_{name}_PORT": str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    own = {"TET_HOME": str(home), "TET_NUM_CPUS": "2", **ports, **variables}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TET_", "RAY_"))}
    environment = {**inherited, **own, "PYTHONPATH": str(ROOT)}
    stack = LocalStack(Settings.from_environment(own), environment)
    stack.tet("up")
    try:
        yield stack
    finally:
        stack.tet("down")

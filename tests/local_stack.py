"""A whole stack for tests, started by `tet up`, on free ports and in a folder of its own."""

import json
import os
import re
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
# The time, in s, between two requests while a test waits.
POLL_S = 0.2
# The longest wait, in s, for the end of an experiment: long enough for a busy machine.
END_S = 600
# The title that Ray gives to the process of a trial.
TITLE = re.compile(r"ray::(StageTrial.*|.* · seed \d+ · .*)")
# The states of an experiment that has ended, in the API's words.
ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class LocalStack:
    """A running stack."""

    settings: Settings
    environment: dict[str, str]

    @property
    def http(self) -> httpx.Client:
        """A new client of the API."""
        return httpx.Client(base_url=self.settings.api_url, timeout=30)

    def tet(self, *arguments: str) -> str:
        """Run a `tet` command, which must succeed, and return its output."""
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
        """Post a spec and return the answer."""
        with self.http as http:
            return http.post("/experiments", json=spec, headers=headers)

    def get(self, path: str) -> Json:
        """Return the API's answer to a GET of a path, which must succeed."""
        with self.http as http:
            answer = http.get(path)
            assert answer.status_code == 200, answer.text
            body: Json = answer.json()
            return body

    def await_experiment(self, experiment_id: str, until: Callable[[Json], bool], within_s: float = END_S) -> Json:
        """Wait until a condition of an experiment holds, and return the experiment."""
        deadline = time.monotonic() + within_s
        while True:
            view = self.get(f"/experiments/{experiment_id}")
            if until(view):
                return view
            problem = f"still {view['state']} ({view['reason']})"
            assert time.monotonic() < deadline, f"{problem}: {json.dumps(view)[:2000]}"
            time.sleep(POLL_S)

    def await_end(self, experiment_id: str) -> Json:
        """Wait until an experiment has ended, and return it."""
        return self.await_experiment(experiment_id, lambda view: view["state"] in ENDED)

    def ray(self, path: str) -> Any:
        """Return the answer of Ray's dashboard to a GET of a path, which must succeed."""
        token = self.settings.ray_token_file.read_text().strip()
        answer = httpx.get(self.settings.ray_url + path, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    def trial_process(self, label: str) -> psutil.Process | None:
        """Return the newest process that makes a step of a trial with this label and is not stopped, or None."""
        processes = trial_processes(self.settings.home)
        running = [process for process, title in processes if title.startswith(label) and not _is_stopped(process)]
        return max(running, key=lambda process: process.create_time(), default=None)


def trial_processes(home: Path) -> Iterator[tuple[psutil.Process, str]]:
    """Yield the processes of a stack's trials, each with the label of the trial whose step it makes.

    Ray gives a process its title: the label during a step, else the class of its actor.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            title = process.cmdline()[:1]
            if title and (found := TITLE.fullmatch(title[0])) and process.environ().get("TET_HOME") == str(home):
                yield process, found[1]


def _is_stopped(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    return True


@contextmanager
def local_stack(home: Path, **variables: str) -> Iterator[LocalStack]:
    """Start a stack, yield it, and stop it at the end of the context."""
    ports = {f"TET_{name}_PORT": str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    settings = {"TET_HOME": str(home), "TET_NUM_CPUS": "2", **ports, **variables}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TET_", "RAY_"))}
    environment = {**inherited, "PYTHONPATH": str(ROOT), **settings}
    stack = LocalStack(Settings.from_environment(settings), environment)
    try:
        stack.tet("up")
        yield stack
    finally:
        stack.tet("down")

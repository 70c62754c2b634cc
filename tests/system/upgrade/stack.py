"""A version of the service, its stack, and what a user does with it: by its own `tet`, and by HTTP."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.system.upgrade.place import Place

Json = dict[str, Any]

ENDED = ("succeeded", "failed", "cancelled")
POLL_S = 0.2
# Far more than anything takes, but on a machine that is busy with other things.
LIMIT_S = 3_600
COMMAND_S = 900
# Prints where the code comes from, and what its bits depend on.
_ABOUT = "import service, torch; print(service.__file__, torch.__version__)"


class StackError(Exception):
    """A command or a request was refused, or something did not come about in time."""


@dataclass(frozen=True)
class Stack:
    """A version whose stack is up.

    Attributes:
        checkout: Where its code lies, with its environment in `.venv/`.
        place: Where it stands.
    """

    checkout: Path
    place: Place

    def about(self) -> str:
        """Return its version of torch.

        Raises:
            StackError: Its environment runs the code of another checkout.
        """
        file, torch = self._run(self.checkout / ".venv/bin/python", "-c", _ABOUT).stdout.split()
        if not Path(file).is_relative_to(self.checkout):
            raise StackError(f"the environment of {self.checkout} runs {file}: `make setup` there")
        return torch

    def tet(self, *arguments: str) -> str:
        """Return what a `tet` command prints.

        Raises:
            StackError: Its exit status is not 0.
        """
        done = self._run(self.checkout / ".venv/bin/tet", *arguments)
        if done.returncode != 0:
            raise StackError(f"tet {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def _run(self, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Not in a checkout: Python would import what lies in the working folder.
        return subprocess.run(
            [program, *arguments], env=self.place.environment(), cwd=self.place.folder,
            capture_output=True, text=True, check=False, timeout=COMMAND_S,
        )  # fmt: skip

    def submit(self, spec: Json | Path) -> str:
        """Post a spec, or a file with one; return the experiment's id."""
        file = spec if isinstance(spec, Path) else self.place.folder / "spec.json"
        if not isinstance(spec, Path):
            file.write_text(json.dumps(spec))
        return self.tet("submit", str(file)).split()[0]

    def get(self, path: str) -> httpx.Response:
        """Return the API's answer.

        Raises:
            StackError: It is none.
        """
        answer = httpx.get(self.place.api_url + path, timeout=60)
        if not answer.is_success:
            raise StackError(f"GET {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer

    def pause(self, experiment_id: str) -> None:
        """Ask that an experiment be paused; by HTTP, since `tet` takes a while to start."""
        httpx.post(f"{self.place.api_url}/experiments/{experiment_id}/pause", timeout=60).raise_for_status()

    def view(self, experiment_id: str) -> Json:
        """Return the experiment."""
        found: Json = self.get(f"/experiments/{experiment_id}").json()
        return found

    def await_view(self, experiment_id: str, wanted: str, until: Callable[[Json], bool]) -> Json:
        """Return the experiment as soon as it is as wanted.

        Raises:
            StackError: It has ended in another way, or it takes too long.
        """
        deadline = time.monotonic() + LIMIT_S
        while not until(found := self.view(experiment_id)):
            if found["state"] in ENDED or time.monotonic() > deadline:
                said = f"{found['name']!r} is {found['state']} ({found['reason']}), where it should be: {wanted}"
                raise StackError(f"{said}; {_failure(found)}")
            time.sleep(POLL_S)
        return found

    def await_state(self, experiment_id: str, state: str) -> Json:
        """Return the experiment as soon as it is in a state."""
        return self.await_view(experiment_id, state, lambda view: bool(view["state"] == state))


def _failure(view: Json) -> str:
    return json.dumps(view.get("failure"))[:1000]


@contextmanager
def running(checkout: Path, place: Place) -> Iterator[Stack]:
    """Keep a version's stack up for as long as the context lasts."""
    stack = Stack(checkout, place)
    try:
        stack.tet("up")
        yield stack
    finally:
        stack.tet("down")

"""The stack of a version of the service, which is used through that version's `tet` and through HTTP."""

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
# The time, in s, between two requests while the program waits for a state.
POLL_S = 0.2
# The longest wait, in s, for a state: long enough for a busy machine.
LIMIT_S = 3_600
# The longest time, in s, for a command.
COMMAND_S = 900
# Prints the path of the code, and the version of torch, on which bits depend.
_ABOUT = "import service, torch; print(service.__file__, torch.__version__)"


class StackError(Exception):
    """A failed command or request, or a state that was not reached in time."""


@dataclass(frozen=True)
class Stack:
    """The running stack of a version.

    Attributes:
        checkout: The folder of its code, with its environment in `.venv/`.
        place: The place of the stack.
    """

    checkout: Path
    place: Place

    def about(self) -> str:
        """Return the stack's version of torch.

        Raises:
            StackError: The environment runs the code of another checkout.
        """
        file, torch = self._run(self.checkout / ".venv/bin/python", "-c", _ABOUT).stdout.split()
        if not Path(file).is_relative_to(self.checkout):
            raise StackError(f"the environment of {self.checkout} runs {file}: `make setup` there")
        return torch

    def tet(self, *arguments: str) -> str:
        """Run a `tet` command and return its output.

        Raises:
            StackError: The exit status is not 0.
        """
        done = self._run(self.checkout / ".venv/bin/tet", *arguments)
        if done.returncode != 0:
            raise StackError(f"tet {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def _run(self, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Do not run in a checkout, because Python would import the modules of the working folder.
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
        """Return the API's answer to a GET.

        Raises:
            StackError: The answer is an error.
        """
        answer = httpx.get(self.place.api_url + path, timeout=60)
        if not answer.is_success:
            raise StackError(f"GET {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer

    def pause(self, experiment_id: str) -> None:
        """Pause an experiment; by HTTP, because `tet` takes a while to start."""
        httpx.post(f"{self.place.api_url}/experiments/{experiment_id}/pause", timeout=60).raise_for_status()

    def view(self, experiment_id: str) -> Json:
        """Return the API's view of an experiment."""
        view: Json = self.get(f"/experiments/{experiment_id}").json()
        return view

    def await_view(self, experiment_id: str, wanted: str, until: Callable[[Json], bool]) -> Json:
        """Wait until a condition of an experiment holds, and return its view; `wanted` describes the condition.

        Raises:
            StackError: The experiment has ended before the condition held, or the wait is too long.
        """
        deadline = time.monotonic() + LIMIT_S
        while not until(view := self.view(experiment_id)):
            if view["state"] in ENDED or time.monotonic() > deadline:
                problem = f"{view['name']!r} is {view['state']} ({view['reason']}); expected: {wanted}"
                raise StackError(f"{problem}; {_failure(view)}")
            time.sleep(POLL_S)
        return view

    def await_state(self, experiment_id: str, state: str) -> Json:
        """Wait until an experiment is in a state, and return its view."""
        return self.await_view(experiment_id, state, lambda view: bool(view["state"] == state))


def _failure(view: Json) -> str:
    return json.dumps(view.get("failure"))[:1000]


@contextmanager
def running(checkout: Path, place: Place) -> Iterator[Stack]:
    """Start a version's stack, yield it, and stop it at the end of the context."""
    stack = Stack(checkout, place)
    try:
        stack.tet("up")
        yield stack
    finally:
        stack.tet("down")

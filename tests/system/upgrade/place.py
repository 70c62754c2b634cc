"""The place of the old stack, and then of the new one: a home, a folder of data sets, and ports."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.ports import lasting_ports

PORTS = ("API", "MLFLOW", "RAY_DASHBOARD", "RAY_GCS", "RAY_CLIENT", "RAY_AGENT")
# The CPUs of the stack: two trials at once, on any machine.
NUM_CPUS = "2"
# The prefixes of variables that are not inherited: settings and tokens of other stacks, and paths of code.
_NOT_INHERITED = ("TET_", "RAY_", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Place:
    """The place of a stack.

    Attributes:
        folder: The folder for all files.
        ports: The ports, by the name of their setting. Both stacks use them, because stored links name them.
    """

    folder: Path
    ports: dict[str, int]

    @classmethod
    def make(cls, folder: Path) -> "Place":
        """Choose ports that are free now."""
        return cls(folder, dict(zip(PORTS, lasting_ports(len(PORTS)), strict=True)))

    @property
    def home(self) -> Path:
        """`TET_HOME`: database, storage and MLflow."""
        return self.folder / "home"

    @property
    def data(self) -> Path:
        """The folder of data sets."""
        return self.folder / "data"

    @property
    def api_url(self) -> str:
        """The URL of the API."""
        return f"http://127.0.0.1:{self.ports['API']}"

    @property
    def mlflow_url(self) -> str:
        """The URL of MLflow."""
        return f"http://127.0.0.1:{self.ports['MLFLOW']}"

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a stack in this place."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        ports = {f"TET_{name}_PORT": str(port) for name, port in self.ports.items()}
        return inherited | ports | {"TET_HOME": str(self.home), "TET_DATA": str(self.data), "TET_NUM_CPUS": NUM_CPUS}

    def processes(self) -> list[psutil.Process]:
        """Return every process of a stack in this place: their environments name its home."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.environ().get("TET_HOME") == str(self.home)
            return ours and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
        return False

    def end_all(self) -> Iterator[str]:
        """Kill the processes that are left in this place, and yield their names."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                yield f"process {process.pid}: {' '.join(process.cmdline())[:120]}"
                process.kill()

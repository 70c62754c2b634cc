"""What the old and the new stack share, one after the other: a home, a folder of data sets, and ports."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.ports import lasting_ports

PORTS = ("API", "MLFLOW", "RAY_DASHBOARD", "RAY_GCS", "RAY_CLIENT", "RAY_AGENT")
# Two trials of one CPU at once, on any machine.
NUM_CPUS = "2"
# Settings and tokens of other stacks, and the other version's code.
_NOT_INHERITED = ("TET_", "RAY_", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Place:
    """Where one stack after the other stands.

    Attributes:
        folder: Everything that is written lies in it.
        ports: By the name of their setting. They stay the same, since stored links name them.
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
        """Where data sets lie."""
        return self.folder / "data"

    @property
    def api_url(self) -> str:
        """Where the API listens."""
        return f"http://127.0.0.1:{self.ports['API']}"

    @property
    def mlflow_url(self) -> str:
        """Where MLflow listens."""
        return f"http://127.0.0.1:{self.ports['MLFLOW']}"

    def environment(self) -> dict[str, str]:
        """The variables of a stack that stands here."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        ports = {f"TET_{name}_PORT": str(port) for name, port in self.ports.items()}
        return inherited | ports | {"TET_HOME": str(self.home), "TET_DATA": str(self.data), "TET_NUM_CPUS": NUM_CPUS}

    def processes(self) -> list[psutil.Process]:
        """Every process of a stack that stands here: all carry its home in their environment."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.environ().get("TET_HOME") == str(self.home)
            return ours and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
        return False

    def end_all(self) -> Iterator[str]:
        """End by force the processes that are left here, and yield their names."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                yield f"process {process.pid}: {' '.join(process.cmdline())[:120]}"
                process.kill()

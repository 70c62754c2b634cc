"""The part of a stage that MLflow has: `shipped.json` in the stage folder. It only saves work."""

import json
from dataclasses import asdict, dataclass
from typing import Self

from service.storage import StageFolder
from tet_core.files import write_atomic


@dataclass(frozen=True)
class Shipped:
    """How much of a stage was shipped, and to which run. It counts for nothing if the stage has another run now."""

    run_id: str = ""
    epoch: int = 0
    attempts: int = 0
    ended: bool = False

    @classmethod
    def read(cls, folder: StageFolder) -> Self:
        """Return what earlier drivers shipped."""
        file = folder.path / "shipped.json"
        return cls(**json.loads(file.read_bytes())) if file.exists() else cls()

    def write(self, folder: StageFolder) -> None:
        """Write it for later drivers."""
        write_atomic(folder.path / "shipped.json", json.dumps(asdict(self)).encode())

"""The record of how much of a stage is in MLflow: `shipped.json` in the stage folder.

Without it, everything is shipped again, which changes nothing.
"""

import json
from dataclasses import asdict, dataclass
from typing import Self

from service.storage import StageFolder
from tet_core.files import write_atomic


@dataclass(frozen=True)
class Shipped:
    """The part of a stage that was shipped. It is ignored if the stage has another run now.

    Attributes:
        run_id: The id of the MLflow run to which the stage was shipped.
        epoch: The newest shipped epoch or row; 0: none.
        attempts: The number of attempts when the stage was last shipped.
        ended: Whether the end of the stage was shipped.
        chain_run_id: The id of the chain's MLflow run, to which the stage's part of the curves was shipped.
        curve: The newest epoch on the curves of the chain's run; 0: none.
    """

    run_id: str = ""
    epoch: int = 0
    attempts: int = 0
    ended: bool = False
    chain_run_id: str = ""
    curve: int = 0

    @classmethod
    def read(cls, folder: StageFolder) -> Self:
        """Return the record that an earlier driver wrote; an empty record if there is none."""
        file = folder.path / "shipped.json"
        return cls(**json.loads(file.read_bytes())) if file.exists() else cls()

    def write(self, folder: StageFolder) -> None:
        """Write the record for later drivers."""
        write_atomic(folder.path / "shipped.json", json.dumps(asdict(self)).encode())

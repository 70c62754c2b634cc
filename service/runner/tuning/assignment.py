"""The assignment of a campaign: what one driver runs, and until when."""

from dataclasses import dataclass
from pathlib import Path

from service.runner.tuning.stop_window import StopWindow
from service.runner.tuning.takeover import Takeover
from service.spec import Experiment
from service.storage import ExperimentFolder


@dataclass(frozen=True)
class Assignment:
    """The experiment that a driver runs.

    Attributes:
        experiment_id: Its id.
        spec: Its spec.
        folder: Its folder on the shared storage.
        data_root: Where the data sets lie on the nodes; None: where tet_core looks by default.
        attempt: The driver's number, from 1.
    """

    experiment_id: str
    spec: Experiment
    folder: ExperimentFolder
    data_root: Path | None
    attempt: int


@dataclass(frozen=True)
class Stopping:
    """The two reasons for which a driver starts no more trials.

    Attributes:
        window: The experiment is stopped; trials may end their epoch.
        takeover: A newer driver has started.
    """

    window: StopWindow
    takeover: Takeover

    @property
    def has_begun(self) -> bool:
        """Whether no trial is to be started any more."""
        return self.window.stopping or self.takeover.has_come()

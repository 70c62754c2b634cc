"""The input of a campaign (a driver's run of Ray Tune): the experiment, and the reasons to start no more trials."""

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
        experiment_id: The experiment's id.
        spec: The experiment's spec.
        folder: The experiment's folder on the shared storage.
        data_root: The folder of the data sets on the nodes; None: the default folder of tet_core.
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
        window: The stop of the experiment, after which running trials may still end their epoch.
        takeover: The takeover by a newer driver.
    """

    window: StopWindow
    takeover: Takeover

    @property
    def has_begun(self) -> bool:
        """Whether no more trials may start."""
        return self.window.stopping or self.takeover.has_come()

"""A worker of a trial other than the first one: a process of its own, possibly on another node.

It trains its share of every batch and writes nothing. When it ends, it leaves the group, and the other workers notice
that at once.
"""

from pathlib import Path
from typing import Any

from service.failures import Failure
from service.runner.diagnosis import diagnose
from service.runner.trial.workers.meeting import Meeting, join_meeting


class Worker:
    """One worker, as an actor in one of the trial's bundles.

    Args:
        label: The actor's name in Ray's dashboard.
        rank: The worker's rank, from 1. The trial has rank 0.
    """

    def __init__(self, label: str, rank: int) -> None:
        self._label, self._rank = label, rank

    def __repr__(self) -> str:
        return self._label

    def start(self) -> None:
        """Return once the process has loaded what it needs."""
        import tet_core.train.epochs  # noqa: F401

    def train(self, meeting: Meeting, config: dict[str, Any], data_root: str | None) -> Failure | None:
        """Train a stage to its end, together with the other workers.

        Args:
            meeting: The workers' meeting.
            config: The stage's configuration.
            data_root: The folder of the data sets; None: the default folder of tet_core.

        Returns:
            The worker's failure; None if it succeeded.
        """
        from tet_core import train_epochs
        from tet_core.config import TrainConfig

        try:
            with join_meeting(meeting, self._rank) as group:
                root = None if data_root is None else Path(data_root)
                for _ in train_epochs(TrainConfig.model_validate(config), data_root=root, group=group):
                    pass
        except Exception as error:
            return diagnose(error)
        return None

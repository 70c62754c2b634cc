"""The decision whether a trial's process, once the trial has ended, runs another trial."""

import logging
from collections.abc import Mapping
from typing import Any, assert_never

from service.plan import StagePlan
from service.runner.chains.bookkeeping import Bookkeeping
from service.runner.trial.config import TrialEnd
from service.spec.blocks import Resources
from tet_core.config import EntryPointDataset, EntryPointModel, TrainConfig

log = logging.getLogger(__name__)

# With reuse_actors "auto", a process is used again if the experiment's stages take less than this on average, in s.
# The start of a process takes some seconds: a hundredth of a longer stage.
SHORT_S = 300.0


class ProcessReuse:
    """Decides for each ended trial whether its process runs another trial.

    Args:
        resources: The spec's resources.
        books: Which stages are left, and how long they are expected to take.

    Attributes:
        is_possible: Whether any process may run another trial.
    """

    def __init__(self, resources: Resources, books: Bookkeeping) -> None:
        self._mode, self._books = resources.reuse_actors, books
        match self._mode:
            case "auto":
                # We cannot put back what a user's own code has changed in its modules.
                stages = {
                    id(each.of_all_seeds): each for chain in books.ledger.chains.values() for each in chain.stages
                }
                is_ours = not any(map(_has_code_of_users, stages.values()))
                self.is_possible = resources.workers_per_trial == 1 and is_ours
            case bool():
                self.is_possible = self._mode
            case _:
                assert_never(self._mode)

    def is_wanted(self, last_report: Mapping[str, Any]) -> bool:
        """Return whether the process of a trial that has ended may run another trial.

        Args:
            last_report: The trial's last report; empty if it made none.
        """
        if not self.is_possible or last_report.get("end") in (TrialEnd.FAILED, TrialEnd.LOST):
            return False
        if wear := last_report.get("wear"):
            log.info("a process is not used again: %s", wear)
            return False
        return self._mode is True or self._books.costs.mean_s < SHORT_S


def _has_code_of_users(stage: StagePlan) -> bool:
    config = stage.of_all_seeds if isinstance(stage.of_all_seeds, TrainConfig) else stage.of_all_seeds.train
    return isinstance(config.model, EntryPointModel) or isinstance(config.dataset, EntryPointDataset)

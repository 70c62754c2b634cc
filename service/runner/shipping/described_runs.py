"""The runs of chains and stages in MLflow, each with its description: parameters, tags, spec and data set."""

import time
from pathlib import Path

from service.events import RunFound
from service.plan import Chain, StagePlan
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.commits.reading import StageProgress
from service.runner.shipping import run_content as content
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.states import WorkState


class DescribedRuns:
    """Finds or makes runs, describes each run once, and announces it.

    Args:
        experiment_id: The experiment's id.
        ledger: The committed state of all stages.
        runs: The experiment's runs in MLflow.
        events: The event file, to which runs are announced.
        spec_file: The spec, which is attached to the runs of chains.
    """

    def __init__(
        self, experiment_id: str, ledger: Ledger, runs: MlflowRuns, events: EventFile, spec_file: Path
    ) -> None:
        self._experiment_id, self._ledger, self._runs = experiment_id, ledger, runs
        self._events, self._spec_file = events, spec_file
        # The runs that were described and announced, by chain and stage.
        self._known: set[tuple[str, int | None]] = set()

    def knows(self, chain: Chain, stage: StagePlan) -> bool:
        """Return whether a stage's run was described."""
        return (chain.id, stage.index) in self._known

    def forget(self, chain: str | None = None) -> None:
        """Describe the runs of a chain (None: of all chains) again when they are next needed."""
        self._known = {known for known in self._known if chain is not None and known[0] != chain}

    def of_chain(self, chain: Chain) -> str:
        """Return the id of a chain's run."""
        first = self._ledger.progress(StageId(chain.id, 0))
        run_id = self._runs.run(
            chain.id, None, name=content.chain_name(chain), tags=content.chain_tags(chain), start_ms=_start_ms(first)
        )
        if (chain.id, None) not in self._known:
            self._runs.log_params(run_id, content.chain_params(chain))
            self._runs.log_file(run_id, self._spec_file)
            if self._ledger.chain_state(chain) in (WorkState.WAITING, WorkState.RUNNING):
                self._runs.reopen(run_id)
            self._announce(chain.id, None, run_id)
        return run_id

    def of_stage(self, chain: Chain, stage: StagePlan, progress: StageProgress) -> str:
        """Return the id of a stage's run, whose parent is the chain's run."""
        parent = self.of_chain(chain)
        tags = content.stage_tags(self._experiment_id, chain, stage, parent)
        run_id = self._runs.run(
            chain.id, stage.index, name=content.stage_label(chain, stage), tags=tags, start_ms=_start_ms(progress)
        )
        if not self.knows(chain, stage):
            self._describe_stage(run_id, stage, progress, tags)
            if progress.done is None:
                self._runs.reopen(run_id)
            self._announce(chain.id, stage.index, run_id)
        return run_id

    def _describe_stage(self, run_id: str, stage: StagePlan, progress: StageProgress, tags: dict[str, str]) -> None:
        # Set the tags again: the driver that made the run may have known another parent.
        self._runs.set_tags(run_id, tags)
        self._runs.log_params(run_id, content.stage_params(stage))
        if progress.started:
            data = progress.started[0].dataset
            self._runs.log_dataset(
                run_id, name=str(data["name"]), digest=str(data["digest"]), source=str(data["source"])
            )

    def _announce(self, chain: str, stage: int | None, run_id: str) -> None:
        self._events.append(RunFound(chain=chain, stage=stage, run_id=run_id))
        self._known.add((chain, stage))


def _start_ms(progress: StageProgress) -> int:
    return progress.started[0].at_ms if progress.started else time.time_ns() // 1_000_000

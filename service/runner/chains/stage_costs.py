"""The expected time of stages, from their work and from the measured times of ended stages of the same kind.

The work of a stage is T x epochs, because an epoch takes about T times as long at T time steps. The time of a unit of
work is that of the ended stages of the same arm, configuration and place in the chain. Where there is none, all
configurations of the arm count, then all stages of the arm, then all stages.
"""

from collections import defaultdict
from collections.abc import Hashable

from service.plan import Chain, StagePlan
from service.runner.chains.board import StageId
from service.runner.chains.ledger import Ledger
from service.runner.commits.reading import spent_s
from service.states import WorkState


class StageCosts:
    """The expected times of the stages of one experiment.

    Args:
        ledger: The committed state of all stages.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # The time of the ended stages of each kind, in s, and their work.
        self._seconds: dict[Hashable, float] = defaultdict(float)
        self._work: dict[Hashable, int] = defaultdict(int)
        self._num_ended = 0
        for stage_id in ledger.stages():
            self.ended(stage_id)

    def ended(self, stage_id: StageId) -> None:
        """Note how long a stage took, if it has succeeded. Call it once for each stage that ends."""
        progress = self._ledger.progress(stage_id)
        if progress.done is None or progress.done.state is not WorkState.SUCCEEDED:
            return
        seconds = spent_s(progress.started, progress.commits)
        chain = self._ledger.chains[stage_id.chain]
        stage = chain.stages[stage_id.index]
        self._num_ended += 1
        for kind in _kinds(chain, stage):
            self._seconds[kind] += seconds
            self._work[kind] += _work(stage)

    def of(self, chain: Chain, stage: StagePlan) -> float:
        """Return the expected time of a stage: in s if a stage has ended, else in units of work."""
        kind = next((kind for kind in _kinds(chain, stage) if kind in self._work), None)
        return _work(stage) * (1.0 if kind is None else self._seconds[kind] / self._work[kind])

    @property
    def mean_s(self) -> float:
        """The mean time of the ended stages, in s; 0 if none has ended."""
        num = self._num_ended
        return self._seconds[()] / num if num else 0.0

    def left_of(self, chain: Chain, num_done: int) -> tuple[float, ...]:
        """Return the expected time of each stage that is left of a chain, after `num_done` stages.

        Of the first one, only the epochs or rows count that are not committed.
        """
        costs = [self.of(chain, stage) for stage in chain.stages[num_done:]]
        last = self._ledger.progress(StageId(chain.id, num_done)).last
        if last is not None:
            costs[0] *= 1 - last.epoch / last.epochs
        return tuple(costs)


def _kinds(chain: Chain, stage: StagePlan) -> tuple[Hashable, ...]:
    """Return the kinds of a stage, from the narrowest to the widest."""
    return (chain.arm, chain.number, stage.index), (chain.arm, stage.index), (chain.arm,), ()


def _work(stage: StagePlan) -> int:
    """Return the work of a stage: T x epochs, or the rows of an analysis that varies T."""
    return (stage.T or 1) * stage.epochs

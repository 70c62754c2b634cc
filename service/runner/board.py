"""Which stage may run next: the chains of one experiment as a game board, with no Ray in it.

A chain's next stage is ready the moment the stage before it has ended, whatever the other chains do. Chains that
have begun come first, so that what was started is finished before more is opened.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from heapq import heapify, heappop, heappush

from service.plan import Chain


class Answer(Enum):
    """What the board says when it has no stage to offer."""

    WAIT = "every stage that may run is running"
    FINISHED = "no stage is left to run"


@dataclass(frozen=True, order=True)
class StageId:
    """A stage within an experiment."""

    chain: str
    index: int


@dataclass
class _Lane:
    """One chain: how many stages have ended, and whether the next one is with a trial."""

    chain: Chain
    position: int
    done: int = 0
    taken: bool = False
    failed: bool = False

    @property
    def over(self) -> bool:
        return self.failed or self.done == len(self.chain.stages)

    @property
    def rank(self) -> tuple[bool, int]:
        """Its place among the chains that are ready: those that have begun come first."""
        return self.done == 0, self.position


@dataclass
class Board:
    """The chains, and what has become of their stages.

    Args:
        chains: all chains, in the order in which they are to be opened.
        done: for each chain's id, how many of its stages have ended already.
        failed: ids of the chains that have failed already.
    """

    chains: Iterable[Chain]
    done: Mapping[str, int] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._lanes = {
            chain.id: _Lane(chain, position, self.done.get(chain.id, 0), failed=chain.id in self.failed)
            for position, chain in enumerate(self.chains)
        }
        # Ranks with ids: 100,000 chains are looked through once, and not anew for each trial.
        self._ready = [(lane.rank, lane.chain.id) for lane in self._lanes.values() if not lane.over]
        heapify(self._ready)
        self._num_taken = 0
        self._closed = False

    def take(self) -> StageId | Answer:
        """The next stage to run, which is then taken; or why there is none."""
        if self._closed:
            return Answer.FINISHED
        if not self._ready:
            return Answer.WAIT if self._num_taken else Answer.FINISHED
        _, chain_id = heappop(self._ready)
        lane = self._lanes[chain_id]
        lane.taken = True
        self._num_taken += 1
        return StageId(chain_id, lane.done)

    def succeeded(self, stage: StageId) -> None:
        """The stage has ended well: the chain's next one may run."""
        lane = self._put_back(stage)
        lane.done += 1
        self._offer(lane)

    def failed_for_good(self, stage: StageId) -> None:
        """The stage has failed and will not be tried again: the chain is over, the others go on."""
        self._put_back(stage).failed = True

    def lost(self, stage: StageId) -> None:
        """The trial is gone without an end of the stage: it may run again."""
        self._offer(self._put_back(stage))

    def close(self) -> None:
        """Offer nothing more."""
        self._closed = True

    @property
    def over(self) -> bool:
        """Whether no stage is left to run."""
        return all(lane.over for lane in self._lanes.values())

    @property
    def num_chains(self) -> int:
        """How many chains there are."""
        return len(self._lanes)

    @property
    def failed_chains(self) -> list[Chain]:
        """Chains that will not end well."""
        return [lane.chain for lane in self._lanes.values() if lane.failed]

    def _put_back(self, stage: StageId) -> _Lane:
        lane = self._lanes[stage.chain]
        assert lane.taken, f"{stage} is not being run"
        assert lane.done == stage.index, f"{stage} is not the stage of its chain that is being run"
        lane.taken = False
        self._num_taken -= 1
        return lane

    def _offer(self, lane: _Lane) -> None:
        if not lane.over:
            heappush(self._ready, (lane.rank, lane.chain.id))

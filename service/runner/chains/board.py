"""Which stage may run next: the chains of one experiment as a game board, with no Ray in it.

A chain's next stage is ready the moment the stage before it has ended, whatever the other chains do. What has begun
comes first, so that it is finished before more is opened. Of a search, chains may be held until others of their
configuration are as far, and stopped; and only so many configurations may be open at once.
"""

from collections import Counter
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
    """One chain: how many stages have ended, and whether the next one is with a trial, or held."""

    chain: Chain
    position: int
    done: int = 0
    taken: bool = False
    failed: bool = False
    stopped: bool = False
    held: bool = False

    @property
    def over(self) -> bool:
        return self.failed or self.stopped or self.done == len(self.chain.stages)

    @property
    def configuration(self) -> tuple[str, int]:
        """Its arm, and the number of its configuration there."""
        return self.chain.arm, self.chain.number


@dataclass
class Board:
    """The chains, and what has become of their stages.

    Args:
        chains: all chains, in the order in which they are to be opened.
        done: for each chain's id, how many of its stages have ended already.
        failed: ids of the chains that have failed already.
        stopped: ids of those that a search has stopped.
        begun: ids of those of which something is committed.
        held: ids of those that wait for others of their configuration.
        max_open: how many configurations may be open at once, begun and not ended; None: any.
    """

    chains: Iterable[Chain]
    done: Mapping[str, int] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    max_open: int | None = None

    def __post_init__(self) -> None:
        self._lanes = {
            chain.id: _Lane(
                chain,
                position,
                self.done.get(chain.id, 0),
                failed=chain.id in self.failed,
                stopped=chain.id in self.stopped,
                held=chain.id in self.held,
            )
            for position, chain in enumerate(self.chains)
        }
        going_on = [lane for lane in self._lanes.values() if not lane.over]
        self._of: dict[tuple[str, int], list[_Lane]] = {}
        for lane in self._lanes.values():
            self._of.setdefault(lane.configuration, []).append(lane)
        # How many chains of each configuration are not over; and the configurations that have begun.
        self._left = Counter(lane.configuration for lane in going_on)
        self._open = {lane.configuration for lane in going_on if lane.done or lane.chain.id in self.begun}
        # Ranks with ids: 100,000 chains are looked through once, and not anew for each trial.
        self._ready = [(self._rank(lane), lane.chain.id) for lane in going_on if not lane.held]
        heapify(self._ready)
        self._num_taken = 0
        self._closed = False

    def take(self) -> StageId | Answer:
        """The next stage to run, which is then taken; or why there is none."""
        if self._closed:
            return Answer.FINISHED
        while self._ready:
            rank, chain_id = heappop(self._ready)
            lane = self._lanes[chain_id]
            if lane.taken or lane.over or lane.held:
                continue
            if not self._may_open(lane):
                heappush(self._ready, (rank, chain_id))
                return Answer.WAIT
            lane.taken = True
            self._opened(lane.configuration)
            self._num_taken += 1
            return StageId(chain_id, lane.done)
        return Answer.WAIT if self._num_taken else Answer.FINISHED

    def succeeded(self, stage: StageId) -> None:
        """The stage has ended well: the chain's next one may run."""
        lane = self._put_back(stage)
        lane.done += 1
        if lane.over and not lane.stopped:
            self._is_over(lane)
        self._offer(lane)

    def failed_for_good(self, stage: StageId) -> None:
        """The stage has failed and will not be tried again: the chain is over, the others go on."""
        lane = self._put_back(stage)
        if not lane.over:
            self._is_over(lane)
        lane.failed = True

    def lost(self, stage: StageId) -> None:
        """The trial is gone without an end of the stage: it may run again, unless its chain is held or stopped."""
        self._offer(self._put_back(stage))

    def hold(self, chain_id: str) -> None:
        """Do not offer the chain, once its trial has gone, until it is released."""
        self._lanes[chain_id].held = True

    def release(self, chain_id: str) -> None:
        """Offer the chain again, if it was held."""
        lane = self._lanes[chain_id]
        if lane.held:
            lane.held = False
            if not lane.taken:
                self._offer(lane)

    def stop(self, chain_id: str) -> None:
        """The chain is over, unless it was: its stage, if it is taken, is still to be put back."""
        lane = self._lanes[chain_id]
        if not lane.over:
            lane.stopped = True
            self._is_over(lane)

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

    def _may_open(self, lane: _Lane) -> bool:
        return self.max_open is None or lane.configuration in self._open or len(self._open) < self.max_open

    def _opened(self, configuration: tuple[str, int]) -> None:
        if configuration not in self._open:
            self._open.add(configuration)
            if self.max_open is not None:  # its other chains come before those that may have to wait
                for lane in self._of[configuration]:
                    if not lane.taken:
                        self._offer(lane)

    def _rank(self, lane: _Lane) -> tuple[bool, int]:
        """Its place among the chains that are ready: those that have begun, or their configuration, come first."""
        is_open = self.max_open is not None and lane.configuration in self._open
        return lane.done == 0 and not is_open, lane.position

    def _put_back(self, stage: StageId) -> _Lane:
        lane = self._lanes[stage.chain]
        assert lane.taken, f"{stage} is not being run"
        assert lane.done == stage.index, f"{stage} is not the stage of its chain that is being run"
        lane.taken = False
        self._num_taken -= 1
        return lane

    def _offer(self, lane: _Lane) -> None:
        if not (lane.over or lane.held):
            heappush(self._ready, (self._rank(lane), lane.chain.id))

    def _is_over(self, lane: _Lane) -> None:
        self._left[lane.configuration] -= 1
        if not self._left[lane.configuration]:
            self._open.discard(lane.configuration)

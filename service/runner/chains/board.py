"""The board of an experiment: which stage of which chain may run next. It knows nothing of Ray.

A chain's next stage is ready as soon as the stage before it has ended; it does not wait for other chains. By default,
chains that have started come first, so that they finish before new chains are opened. In a search, a chain may be held
until the other chains of its configuration have caught up, or it may be stopped. The number of open configurations may
be limited. If seeds are added until the arms are decided, the chains of later seeds are held, and stopped if no
decision needs them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from heapq import heapify, heappop, heappush

from service.plan import Chain

# With more chains left, no chain is chosen one by one: the time for it grows with their number, and only the last
# chains decide how long slots are idle at the end.
MAX_CHOSEN_AMONG = 300


class Answer(Enum):
    """The board's answer when it has no stage to offer."""

    WAIT = "every stage that may run is running"
    FINISHED = "no stage is left to run"


@dataclass(frozen=True, order=True)
class StageId:
    """A stage within an experiment."""

    chain: str
    index: int


@dataclass(frozen=True)
class Consequence:
    """The consequence of a decision for the board: chains continue or may start, or they stop."""

    chains: tuple[Chain, ...]
    goes_on: bool


@dataclass(frozen=True, slots=True)
class UnfinishedChain:
    """A chain that is not over. `num_done` counts its succeeded stages; `runs`: a trial runs the next stage."""

    chain: Chain
    num_done: int
    runs: bool


# Returns the id of the chain that runs next, given all chains that are not over, in the plan's order. At least one of
# them waits.
Chooser = Callable[[Sequence[UnfinishedChain]], str]


@dataclass
class _Lane:
    """The state of one chain. `done` counts its succeeded stages; `taken`: a trial runs the next stage."""

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
    def waits(self) -> bool:
        """Whether the chain's next stage may run now, if its configuration may be open."""
        return not (self.taken or self.over or self.held)

    @property
    def configuration(self) -> tuple[str, int]:
        """The chain's arm, and the number of its configuration there."""
        return self.chain.arm, self.chain.number


@dataclass
class Board:
    """The chains of an experiment and the state of their stages.

    Args:
        chains: All chains, in the order in which they are opened.
        done: How many stages of each chain have succeeded, by the chain's id.
        failed: Ids of the chains that have failed.
        stopped: Ids of the chains that have been stopped: by a search, or because no decision needs them.
        started: Ids of the chains that have started: a stage has an attempt.
        held: Ids of the chains that wait for other chains of their configuration, or for earlier seeds.
        max_open: How many configurations may be open (started and not ended) at once; None: any number.
        choose: Chooses the chain that runs next, if at most `MAX_CHOSEN_AMONG` chains are not over; None: chains that
            have started come first.
    """

    chains: Iterable[Chain]
    done: Mapping[str, int] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    max_open: int | None = None
    choose: Chooser | None = None

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
        not_over = [lane for lane in self._lanes.values() if not lane.over]
        self._of: dict[tuple[str, int], list[_Lane]] = {}
        for lane in self._lanes.values():
            self._of.setdefault(lane.configuration, []).append(lane)
        # The number of chains of each configuration that are not over, and the open configurations.
        self._left = Counter(lane.configuration for lane in not_over)
        self._open = {lane.configuration for lane in not_over if lane.done or lane.chain.id in self.started}
        # A heap of (rank, chain id), because it would be slow to look at 100,000 chains for each trial.
        self._ready: list[tuple[tuple[bool, int], str]] = []
        self._rank_all()
        self._num_taken, self._num_left = 0, len(not_over)
        self._closed = False

    def limit_open(self, max_open: int | None) -> None:
        """Set how many configurations may be open at once; None: any number."""
        ranks_change = (self.max_open is None) != (max_open is None)
        self.max_open = max_open
        if ranks_change:
            self._rank_all()

    def take(self) -> StageId | Answer:
        """Take and return the next stage to run, or return why there is none."""
        if self._closed:
            return Answer.FINISHED
        if (chosen := self._chosen()) is not None:
            return self._taken(chosen)
        while self._ready:
            rank, chain_id = heappop(self._ready)
            lane = self._lanes[chain_id]
            if not lane.waits:
                continue
            if not self._may_open(lane):
                heappush(self._ready, (rank, chain_id))
                return Answer.WAIT
            return self._taken(lane)
        return Answer.WAIT if self._num_taken else Answer.FINISHED

    def succeeded(self, stage: StageId) -> None:
        """Note that a stage has succeeded: the chain's next stage may run."""
        lane = self._put_back(stage)
        lane.done += 1
        if lane.over and not (lane.stopped or lane.failed):
            self._is_over(lane)
        self._offer(lane)

    def failed_for_good(self, stage: StageId) -> None:
        """Note that a stage has failed and is not retried: its chain is over, the other chains continue."""
        lane = self._put_back(stage)
        if not lane.over:
            self._is_over(lane)
        lane.failed = True

    def fail(self, chain_id: str) -> None:
        """End the chain for a failure that each later trial would meet. Still report the end of its running trial."""
        lane = self._lanes[chain_id]
        if not lane.over:
            self._is_over(lane)
            lane.failed = True

    def is_taken(self, chain_id: str) -> bool:
        """Return whether a trial of the chain has been taken and has not ended."""
        return self._lanes[chain_id].taken

    def lost(self, stage: StageId) -> None:
        """Note that a trial ended before its stage: the stage may run again, unless its chain is held or stopped."""
        self._offer(self._put_back(stage))

    def hold(self, chain_id: str) -> None:
        """Do not offer the chain's next trial until the chain is released."""
        self._lanes[chain_id].held = True

    def release(self, chain_id: str) -> None:
        """Offer a held chain again."""
        lane = self._lanes[chain_id]
        if lane.held:
            lane.held = False
            if not lane.taken:
                self._offer(lane)

    def stop(self, chain_id: str) -> None:
        """End the chain, if it has not ended. The end of its running trial still has to be reported, as usual."""
        lane = self._lanes[chain_id]
        if not lane.over:
            lane.stopped = True
            self._is_over(lane)

    def close(self) -> None:
        """Offer nothing more."""
        self._closed = True

    @property
    def over(self) -> bool:
        """Whether no stage is left to run.

        Chains may be held forever: a seed has failed, and the chains of later seeds wait for it. Nothing releases them
        once all other chains are over. A retry runs the failed seed again.
        """
        return all(lane.over or (lane.held and not lane.taken) for lane in self._lanes.values())

    @property
    def has_ready(self) -> bool:
        """Whether `take` would return a stage."""
        while self._ready and not self._closed:
            lane = self._lanes[self._ready[0][1]]
            if lane.waits:
                return self._may_open(lane)
            heappop(self._ready)
        return False

    @property
    def num_chains(self) -> int:
        """The number of chains."""
        return len(self._lanes)

    @property
    def failed_chains(self) -> list[Chain]:
        """The chains that have failed."""
        return [lane.chain for lane in self._lanes.values() if lane.failed]

    def _chosen(self) -> _Lane | None:
        """Return the chain that `choose` wants to run next; None if no chain waits, or the other rules hold."""
        if self.choose is None or self._num_left > MAX_CHOSEN_AMONG:
            return None
        lanes = [lane for lane in self._lanes.values() if not (lane.over or lane.held)]
        if all(lane.taken for lane in lanes):
            return None
        return self._lanes[self.choose([UnfinishedChain(lane.chain, lane.done, lane.taken) for lane in lanes])]

    def _taken(self, lane: _Lane) -> StageId:
        """Take the next stage of a chain."""
        lane.taken = True
        self._opened(lane.configuration)
        self._num_taken += 1
        return StageId(lane.chain.id, lane.done)

    def _may_open(self, lane: _Lane) -> bool:
        return self.max_open is None or lane.configuration in self._open or len(self._open) < self.max_open

    def _opened(self, configuration: tuple[str, int]) -> None:
        if configuration not in self._open:
            self._open.add(configuration)
            if self.max_open is not None:  # its other chains now rank before those of configurations that are not open
                for lane in self._of[configuration]:
                    if not lane.taken:
                        self._offer(lane)

    def _rank(self, lane: _Lane) -> tuple[bool, int]:
        """Return a chain's rank among the ready chains: started chains and those of open configurations come first."""
        is_open = self.max_open is not None and lane.configuration in self._open
        return lane.done == 0 and not is_open, lane.position

    def _rank_all(self) -> None:
        ready = (lane for lane in self._lanes.values() if lane.waits)
        self._ready = [(self._rank(lane), lane.chain.id) for lane in ready]
        heapify(self._ready)

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
        self._num_left -= 1
        self._left[lane.configuration] -= 1
        if not self._left[lane.configuration]:
            self._open.discard(lane.configuration)

"""The order of an experiment's chains: which waiting chain runs next. It knows nothing of Ray.

There are two rules. By work left, the chain with the most work left comes first, so that no long chain is begun last
while other slots are idle. In the plan's order, chains that have started come first, then the others, seed by seed.
Whenever a slot is free, both rules are simulated to the end of the experiment, and the one that ends earlier chooses
the next chain. A rule that is chosen again continues as it was simulated. So if stages take as long as expected, the
simulated end never becomes later, and the experiment never ends later than in the plan's order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from service.runner.chains.board import UnfinishedChain
from service.runner.chains.stage_costs import StageCosts


class ChainOrder:
    """Chooses the chain that runs next; see the module.

    Args:
        costs: The expected times of the stages.

    Attributes:
        num_slots: How many trials fit into the cluster. The driver sets it.
    """

    def __init__(self, costs: StageCosts) -> None:
        self._costs = costs
        self.num_slots = 1

    def __call__(self, chains: Sequence[UnfinishedChain]) -> str:
        """Return the id of the chain that runs next, given all chains that are not over; one of them waits."""
        left = [
            ChainLeft(self._costs.left_of(each.chain, each.num_done), each.num_done > 0, each.runs) for each in chains
        ]
        return chains[next_place(left, self.num_slots)].chain.id


@dataclass(frozen=True, slots=True)
class ChainLeft:
    """What is left of a chain that is not over.

    Attributes:
        costs: The expected time of each stage that is left, at least one, in any unit. If the chain runs, the first is
            the rest of its running stage.
        has_started: Whether a stage of it has succeeded.
        runs: Whether a trial of it runs.
    """

    costs: tuple[float, ...]
    has_started: bool = False
    runs: bool = False


# Returns the rank of a waiting chain from its place in the plan, its work left and whether it has started.
Rule = Callable[[int, float, bool], tuple[float, int]]


def by_work_left(place: int, work_left: float, has_started: bool) -> tuple[float, int]:
    """Return a chain's rank by work left: the most work first."""
    return -work_left, place


def in_plan_order(place: int, work_left: float, has_started: bool) -> tuple[float, int]:
    """Return a chain's rank in the plan's order: chains that have started first."""
    return float(not has_started), place


def next_place(chains: Sequence[ChainLeft], num_slots: int) -> int:
    """Return the place of the waiting chain that runs next.

    Args:
        chains: All chains that are not over, in the plan's order. One of them waits.
        num_slots: How many trials can run at once.
    """
    rule = min((by_work_left, in_plan_order), key=lambda each: simulated_end(chains, num_slots, each))
    waiting = ((place, chain) for place, chain in enumerate(chains) if not chain.runs)
    return min((rule(place, sum(chain.costs), chain.has_started), place) for place, chain in waiting)[1]


def simulated_end(chains: Sequence[ChainLeft], num_slots: int, rule: Rule) -> float:
    """Return how long it takes until the last chain ends, if `rule` chooses each chain from now on."""
    left = [sum(chain.costs) for chain in chains]
    num_ended = [0] * len(chains)
    running = [(chain.costs[0], place) for place, chain in enumerate(chains) if chain.runs]
    waiting = [
        (rule(place, left[place], each.has_started), place) for place, each in enumerate(chains) if not each.runs
    ]
    heapify(running)
    heapify(waiting)
    now = 0.0
    while running or waiting:
        while waiting and len(running) < max(1, num_slots):
            _, place = heappop(waiting)
            heappush(running, (now + chains[place].costs[num_ended[place]], place))
        now, place = heappop(running)
        costs = chains[place].costs
        left[place] -= costs[num_ended[place]]
        num_ended[place] += 1
        if num_ended[place] < len(costs):
            heappush(waiting, (rule(place, left[place], True), place))
    return now

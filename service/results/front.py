"""The front of a search with two goals: the configurations that no other configuration beats."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from service.chain_outcomes import ChainOutcome
from service.results.tried import Tried, last_metrics
from service.spec.search import TIME, Goal
from service.states import WorkState


@dataclass(frozen=True)
class Point:
    """The accuracy of a configuration, which is to be high, and its cost, which is to be low."""

    accuracy: float
    cost: float

    def beats(self, other: "Point") -> bool:
        """Return whether this point is at least as good as the other in both values, and better in one."""
        as_good = self.accuracy >= other.accuracy and self.cost <= other.cost
        return as_good and self != other


@dataclass(frozen=True)
class FrontMember:
    """A configuration of the front, with the ids of its chains and its mean cost over the seeds."""

    arm: str
    tried: Tried
    chains: tuple[str, ...]
    cost: float


T = TypeVar("T")


def pareto_front(points: Iterable[tuple[Point, T]]) -> list[tuple[Point, T]]:
    """Return the points that no other point beats, from the cheapest to the most accurate; equal points all stay."""
    ordered = sorted(points, key=lambda each: (each[0].cost, -each[0].accuracy))
    front: list[tuple[Point, T]] = []
    for point, item in ordered:
        if not front or point.accuracy > front[-1][0].accuracy or point == front[-1][0]:
            front.append((point, item))
    return front


def search_front(
    cost_goal: Goal, chains: Iterable[ChainOutcome], tried: Mapping[str, Sequence[Tried]]
) -> list[FrontMember]:
    """Return the front over all arms; only configurations with results at the most seeds take part.

    Args:
        cost_goal: The search's second goal, which is to be low.
        chains: All chains of the experiment.
        tried: The configurations of these chains, by arm.
    """
    succeeded: dict[tuple[str, int], list[ChainOutcome]] = {}
    for chain in chains:
        if chain.state == WorkState.SUCCEEDED:
            succeeded.setdefault((chain.arm, chain.configuration), []).append(chain)
    most = max((each.num_results for of_arm in tried.values() for each in of_arm), default=0)
    points = []
    for arm, configurations in tried.items():
        for each in configurations:
            its_chains = succeeded[arm, each.number]
            costs = [cost for chain in its_chains if (cost := _cost(chain, cost_goal)) is not None]
            if each.num_results == most == len(costs) and each.val_accuracy is not None:
                member = FrontMember(arm, each, tuple(chain.id for chain in its_chains), fmean(costs))
                points.append((Point(each.val_accuracy, member.cost), member))
    return [member for _, member in pareto_front(points)]


def _cost(chain: ChainOutcome, goal: Goal) -> float | None:
    if goal == TIME:
        return sum(stage.train_time_s for stage in chain.stages)
    return last_metrics(chain).get(goal)

"""What a search adds to a comparison: the configuration of each arm, and the front of a search with two goals."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from service.answers.comparisons import ArmResultView, ChoiceView, FrontPointView, FrontView
from service.chain_outcomes import ChainOutcome
from service.results.answering import chance_of
from service.results.front import FrontMember, search_front
from service.results.tried import Tried
from service.spec.search import Search


def with_choice(arm: ArmResultView, best: Tried | None, tried: Sequence[Tried]) -> ArmResultView:
    """Add the configuration that stands for an arm."""
    choice = ChoiceView(
        configuration=None if best is None else dict(best.configuration),
        val_accuracy=None if best is None else best.val_accuracy,
        num_configurations=len(tried),
    )
    return arm.model_copy(update={"choice": choice})


def front_view(
    search: Search, chains: Iterable[ChainOutcome], tried: Mapping[str, Sequence[Tried]]
) -> FrontView | None:
    """Return the front of a search with two goals; None with one goal."""
    if len(search.goal) == 1:
        return None
    goal = search.goal[1]
    return FrontView(goal=goal, points=[_front_point(member) for member in search_front(goal, chains, tried)])


def _front_point(member: FrontMember) -> FrontPointView:
    assert member.tried.val_accuracy is not None
    results = member.tried.results.values()
    test_accuracy, test_sets = fmean(result.value for result in results), {result.test_set for result in results}
    return FrontPointView(
        arm=member.arm,
        configuration=dict(member.tried.configuration),
        chains=list(member.chains),
        val_accuracy=member.tried.val_accuracy,
        cost=member.cost,
        test_accuracy=test_accuracy,
        chance=chance_of(test_accuracy, test_sets.pop() if len(test_sets) == 1 else None),
    )

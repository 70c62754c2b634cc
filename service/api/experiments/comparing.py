"""The API's answer about the comparison of an experiment's arms."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from service.answers.comparisons import (
    ArmResultView,
    ChoiceView,
    ComparisonView,
    FrontPointView,
    FrontView,
)
from service.api.context import Context
from service.presets.catalogue import presets
from service.results.comparison import compare_arms
from service.results.front import FrontMember, search_front
from service.results.tried import Tried, best_by_arm, tried_by_arm
from service.spec import parse
from service.spec.search import Search
from service.store.outcomes import ChainOutcome


def comparison_view(context: Context, experiment_id: str) -> ComparisonView:
    """Compare the arms by the chains that have succeeded; in a search, each arm at its best configuration."""
    with context.database.reading() as repository:
        row = repository.experiments.get(experiment_id)
        chains = repository.outcomes.of(experiment_id)
    spec = parse(row.spec)
    tried = tried_by_arm(chains)
    best = best_by_arm(tried)
    results = {arm: configuration.results for arm, configuration in best.items()}
    compared = compare_arms([arm.name for arm in spec.arms], spec.baseline_arm, results)
    view = ComparisonView.model_validate(compared, from_attributes=True)
    if spec.search is not None:
        arms = [_with_choice(arm, best.get(arm.name), tried.get(arm.name, [])) for arm in view.arms]
        view = view.model_copy(update={"arms": arms, "front": _front_view(spec.search, chains, tried)})
    return _with_published(view, row.preset)


def _with_choice(arm: ArmResultView, best: Tried | None, tried: Sequence[Tried]) -> ArmResultView:
    choice = ChoiceView(
        configuration=None if best is None else dict(best.configuration),
        val_accuracy=None if best is None else best.val_accuracy,
        num_configurations=len(tried),
    )
    return arm.model_copy(update={"choice": choice})


def _front_view(
    search: Search, chains: Iterable[ChainOutcome], tried: Mapping[str, Sequence[Tried]]
) -> FrontView | None:
    """Return the front of a search with two goals; None with one goal."""
    if len(search.goal) == 1:
        return None
    goal = search.goal[1]
    return FrontView(goal=goal, points=[_front_point(member) for member in search_front(goal, chains, tried)])


def _front_point(member: FrontMember) -> FrontPointView:
    assert member.tried.val_accuracy is not None
    return FrontPointView(
        arm=member.arm,
        configuration=dict(member.tried.configuration),
        chains=list(member.chains),
        val_accuracy=member.tried.val_accuracy,
        cost=member.cost,
        test_accuracy=fmean(result.accuracy for result in member.tried.results.values()),
    )


def _with_published(view: ComparisonView, name: str | None) -> ComparisonView:
    """Add the paper's numbers to the measured ones."""
    preset = presets().get(name or "")
    if preset is None:  # posted without a preset, or with one that a later version of the service has dropped
        return view
    arms = [arm.model_copy(update={"published": preset.published.get(arm.name)}) for arm in view.arms]
    return view.model_copy(update={"arms": arms, "preset": name, "source": preset.source})

"""The API's answer about the comparison of an experiment's arms."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from service.answers.chances import ChanceView
from service.answers.comparisons import (
    ArmResultView,
    ChoiceView,
    ComparisonView,
    FrontPointView,
    FrontView,
)
from service.answers.rounding import digits_of
from service.api.context import Context
from service.chance import against_chance
from service.events import ClassCounts
from service.presets.catalogue import presets
from service.presets.recipe import differences_from, test_set_differences
from service.results.comparison import ComparedArm, Comparison, compare_arms
from service.results.front import FrontMember, search_front
from service.results.growing import growing_rule
from service.results.notes import notes_of, notes_of_unpublished, notes_of_verdicts
from service.results.seeds import seed_states
from service.results.tried import Tried, best_by_arm, tried_by_arm
from service.spec import Experiment, parse
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
    rule = growing_rule(spec)
    compared = compare_arms(_arms(spec, chains, best), spec.baseline_arm, rule)
    view = ComparisonView.model_validate(compared, from_attributes=True)
    view = _with_chance(view, compared)
    if spec.search is not None:
        arms = [_with_choice(arm, best.get(arm.name), tried.get(arm.name, [])) for arm in view.arms]
        view = view.model_copy(update={"arms": arms, "front": _front_view(spec.search, chains, tried)})
    verdicts = notes_of_verdicts(compared, digits_of(view.arms, view.baseline), rule)
    view = view.model_copy(update={"notes": [*verdicts, *notes_of(view)]})
    return _with_published(view, row.preset, spec, compared)


def _arms(spec: Experiment, chains: Iterable[ChainOutcome], best: Mapping[str, Tried]) -> list[ComparedArm]:
    """Return the arms to compare: the results of their configurations, and the states of all seeds."""
    by_arm: dict[str, list[ChainOutcome]] = {}
    for chain in chains:
        by_arm.setdefault(chain.arm, []).append(chain)
    compared = []
    for arm in spec.arms:
        chosen = best.get(arm.name)
        seeds = seed_states(spec.all_seeds, by_arm.get(arm.name, []), None if chosen is None else chosen.number)
        compared.append(ComparedArm(arm.name, seeds, {} if chosen is None else chosen.results))
    return compared


def _with_chance(view: ComparisonView, compared: Comparison) -> ComparisonView:
    """Add how each mean compares with chance."""
    arms = [
        arm.model_copy(update={"chance": _chance(result.mean, result.test_set)})
        for arm, result in zip(view.arms, compared.arms, strict=True)
    ]
    return view.model_copy(update={"arms": arms})


def _chance(accuracy: float | None, test_set: ClassCounts | None) -> ChanceView | None:
    return None if accuracy is None or test_set is None else against_chance(accuracy, test_set)


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
    results = member.tried.results.values()
    test_accuracy, test_sets = fmean(result.value for result in results), {result.test_set for result in results}
    return FrontPointView(
        arm=member.arm,
        configuration=dict(member.tried.configuration),
        chains=list(member.chains),
        val_accuracy=member.tried.val_accuracy,
        cost=member.cost,
        test_accuracy=test_accuracy,
        chance=_chance(test_accuracy, test_sets.pop() if len(test_sets) == 1 else None),
    )


def _with_published(view: ComparisonView, name: str | None, spec: Experiment, compared: Comparison) -> ComparisonView:
    """Add the paper's number to each arm whose recipe is the preset's, and notes on the numbers that are left out."""
    preset = presets().get(name or "")
    if preset is None:  # posted without a preset, or with one that a later version of the service has dropped
        return view
    of_recipe = differences_from(preset, spec)
    num_test = {arm.name: None if arm.test_set is None else arm.test_set.num_samples for arm in compared.arms}
    differences = {
        arm: [*each, *test_set_differences(preset, num_test[arm])]
        for arm, each in of_recipe.items()
        if arm in preset.published
    }
    shown = {arm: preset.published[arm] for arm, each in differences.items() if not each}
    arms = [arm.model_copy(update={"published": shown.get(arm.name)}) for arm in view.arms]
    notes = [*view.notes, *notes_of_unpublished(preset.published, differences)]
    source = preset.source if shown else None
    return view.model_copy(update={"arms": arms, "preset": name, "source": source, "notes": notes})

"""From an experiment's chains to the comparison of its arms."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from service.api.context import Context
from service.api.experiments.schemas import ArmResultView, ChoiceView, ComparisonView, FrontPointView, FrontView
from service.presets.catalogue import presets
from service.results.choice import Tried, chosen
from service.results.comparison import Result, compare
from service.results.pareto import Point, front
from service.spec import parse
from service.spec.search import ACCURACY as VAL_ACCURACY
from service.spec.search import TIME, Search
from service.states import WorkState
from service.store.tables import ChainRow

ACCURACY = "test/accuracy"


def comparison(context: Context, experiment_id: str) -> ComparisonView:
    """Compares the arms by the chains that have succeeded so far; of a search, each at its best configuration."""
    with context.database.reading() as repository:
        row = repository.experiments.get(experiment_id)
        chains = repository.work.chains(experiment_id)
    spec = parse(row.spec)
    tried = tried_by_arm(chains)
    best = chosen_by_arm(tried)
    results = {arm: found.results for arm, found in best.items()}
    compared = compare([arm.name for arm in spec.arms], spec.baseline_arm, results)
    view = ComparisonView.model_validate(compared, from_attributes=True)
    if spec.search is not None:
        arms = [_with_choice(arm, best.get(arm.name), tried.get(arm.name, [])) for arm in view.arms]
        view = view.model_copy(update={"arms": arms, "front": _front(spec.search, chains, tried)})
    return _with_published(view, row.preset)


def chosen_by_arm(tried: Mapping[str, Sequence[Tried]]) -> dict[str, Tried]:
    """What stands for each arm; one that has no result yet is missing."""
    return {arm: found for arm, each in tried.items() if (found := chosen(each)) is not None}


def _with_choice(arm: ArmResultView, best: Tried | None, tried: Sequence[Tried]) -> ArmResultView:
    choice = ChoiceView(
        configuration=None if best is None else dict(best.configuration),
        val_accuracy=None if best is None else best.val_accuracy,
        num_configurations=len(tried),
    )
    return arm.model_copy(update={"choice": choice})


def _front(search: Search, chains: Iterable[ChainRow], tried: Mapping[str, Sequence[Tried]]) -> FrontView | None:
    """Of a search with two goals: what no other configuration beats, over all arms, of those with the most seeds."""
    if len(search.goal) == 1:
        return None
    goal = search.goal[1]
    own: dict[tuple[str, int], list[ChainRow]] = {}
    for chain in chains:
        if chain.state == WorkState.SUCCEEDED:
            own.setdefault((chain.arm, chain.configuration), []).append(chain)
    most = max((len(each.results) for of_arm in tried.values() for each in of_arm), default=0)
    points = []
    for arm, configurations in tried.items():
        for each in configurations:
            of_each = own[arm, each.number]
            costs = [cost for chain in of_each if (cost := _cost(chain, goal)) is not None]
            if len(each.results) == most == len(costs) and each.val_accuracy is not None:
                shown = FrontPointView(
                    arm=arm,
                    configuration=dict(each.configuration),
                    chains=[chain.id for chain in of_each],
                    val_accuracy=each.val_accuracy,
                    cost=fmean(costs),
                    test_accuracy=fmean(result.accuracy for result in each.results.values()),
                )
                points.append((Point(each.val_accuracy, shown.cost), shown))
    return FrontView(goal=goal, points=[shown for _, shown in front(points)])


def _cost(chain: ChainRow, goal: str) -> float | None:
    if goal == TIME:
        return sum(stage.train_time_s for stage in chain.stages)
    return next((stage.metrics.get(goal) for stage in reversed(chain.stages) if stage.kind == "train"), None)


def _with_published(view: ComparisonView, name: str | None) -> ComparisonView:
    """Beside what was measured, what the paper has for it."""
    preset = presets().get(name or "")
    if preset is None:  # posted by none, or by one that a later version of the service has dropped
        return view
    arms = [arm.model_copy(update={"published": preset.published.get(arm.name)}) for arm in view.arms]
    return view.model_copy(update={"arms": arms, "preset": name, "source": preset.source})


def tried_by_arm(chains: Iterable[ChainRow]) -> dict[str, list[Tried]]:
    """The configurations of each arm of which a chain has succeeded, in the order in which they are proposed."""
    results: dict[tuple[str, int], dict[int, Result]] = {}
    validation: dict[tuple[str, int], dict[int, float]] = {}
    values: dict[tuple[str, int], Mapping[str, Any]] = {}
    for chain in chains:
        last = next((stage.metrics for stage in reversed(chain.stages) if stage.kind == "train"), {})
        if chain.state != WorkState.SUCCEEDED or ACCURACY not in last:
            continue
        key = chain.arm, chain.configuration
        time_s = sum(stage.train_time_s for stage in chain.stages)
        values[key] = chain.hyperparameters
        results.setdefault(key, {})[chain.seed] = Result(last[ACCURACY], time_s, chain.stages[0].initial_sha256)
        if VAL_ACCURACY in last:
            validation.setdefault(key, {})[chain.seed] = last[VAL_ACCURACY]
    tried: dict[str, list[Tried]] = {}
    for key, configuration in values.items():
        arm, number = key
        tried.setdefault(arm, []).append(Tried(configuration, results[key], validation.get(key, {}), number))
    return tried

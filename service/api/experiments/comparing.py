"""From an experiment's chains to the comparison of its arms."""

from collections.abc import Iterable

from service.api.context import Context
from service.api.experiments.schemas import ComparisonView
from service.control.comparison import Result, compare
from service.presets.catalogue import presets
from service.spec import parse
from service.states import WorkState
from service.store.tables import ChainRow

ACCURACY = "test/accuracy"


def comparison(context: Context, experiment_id: str) -> ComparisonView:
    """Compares the arms by the chains that have succeeded so far."""
    with context.database.reading() as repository:
        row = repository.experiment(experiment_id)
        chains = repository.chains(experiment_id)
    spec = parse(row.spec)
    found = compare([arm.name for arm in spec.arms], spec.baseline_arm, _results(chains))
    return _with_published(ComparisonView.model_validate(found, from_attributes=True), row.preset)


def _with_published(view: ComparisonView, name: str | None) -> ComparisonView:
    """Beside what was measured, what the paper has for it."""
    preset = presets().get(name or "")
    if preset is None:  # posted by none, or by one that a later version of the service has dropped
        return view
    arms = [arm.model_copy(update={"published": preset.published.get(arm.name)}) for arm in view.arms]
    return view.model_copy(update={"arms": arms, "preset": name, "source": preset.source})


def _results(chains: Iterable[ChainRow]) -> dict[str, dict[int, Result]]:
    results: dict[str, dict[int, Result]] = {}
    for chain in chains:
        accuracy = next(
            (stage.metrics.get(ACCURACY) for stage in reversed(chain.stages) if stage.kind == "train"), None
        )
        if chain.state == WorkState.SUCCEEDED and accuracy is not None:
            time_s = sum(stage.train_time_s for stage in chain.stages)
            results.setdefault(chain.arm, {})[chain.seed] = Result(accuracy, time_s, chain.stages[0].initial_sha256)
    return results

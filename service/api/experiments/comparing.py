"""From an experiment's chains to the comparison of its arms."""

from collections.abc import Iterable

from service.api.context import Context
from service.api.experiments.schemas import ComparisonView
from service.control.comparison import Result, compare
from service.spec import parse
from service.states import WorkState
from service.store.tables import ChainRow

ACCURACY = "test/accuracy"


def comparison(context: Context, experiment_id: str) -> ComparisonView:
    """Compares the arms by the chains that have succeeded so far."""
    with context.database.reading() as repository:
        spec = parse(repository.experiment(experiment_id).spec)
        chains = repository.chains(experiment_id)
    found = compare([arm.name for arm in spec.arms], spec.baseline_arm, _results(chains))
    return ComparisonView.model_validate(found, from_attributes=True)


def _results(chains: Iterable[ChainRow]) -> dict[str, dict[int, Result]]:
    results: dict[str, dict[int, Result]] = {}
    for chain in chains:
        accuracy = next(
            (stage.metrics[ACCURACY] for stage in reversed(chain.stages) if ACCURACY in stage.metrics), None
        )
        if chain.state == WorkState.SUCCEEDED and accuracy is not None:
            time_s = sum(stage.train_time_s for stage in chain.stages)
            results.setdefault(chain.arm, {})[chain.seed] = Result(accuracy, time_s, chain.stages[0].initial_sha256)
    return results

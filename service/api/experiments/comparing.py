"""The API's answer about the comparison of an experiment's arms."""

from service.answers.comparisons import ComparisonView
from service.api.context import Context
from service.results.quantities import DEFAULT
from service.results.quantity_answer import ComparedExperiment, quantity_answer, read_values
from service.spec import parse
from service.states import TERMINAL
from service.store.stored_results import StoredResults
from service.store.tables import ExperimentRow


def comparison_view(
    context: Context, experiment_id: str, quantity_name: str = DEFAULT.name, baseline: str | None = None
) -> ComparisonView:
    """Compare the arms by the chains that have succeeded; in a search, each arm at its best configuration.

    Args:
        context: The API's parts.
        experiment_id: The experiment's id.
        quantity_name: The quantity that is compared.
        baseline: The arm that every other arm is compared with. None: the pairs and the baseline of the spec.

    Raises:
        NotFound: There is no such experiment, or it has no such quantity or arm.
    """
    with context.database.reading() as repository:
        about = compared_experiment(repository.experiments.get(experiment_id))
        read = read_values(StoredResults(repository, experiment_id), about, quantity_name)
    return quantity_answer(read, baseline)


def compared_experiment(row: ExperimentRow) -> ComparedExperiment:
    """Return what a comparison needs to know of an experiment."""
    runs = row.state not in TERMINAL
    return ComparedExperiment(
        parse(row.spec), row.preset, row.has_curves or runs, are_pairs_filled=row.has_resampled or runs
    )

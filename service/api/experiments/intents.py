"""What users want of an experiment that is stored: to pause, cancel or remove it, or that it goes on."""

from service.api.context import Context
from service.api.experiments.schemas import ExperimentView
from service.api.experiments.submitting import unplaceable
from service.api.experiments.views import view
from service.derived.resources import regiven
from service.errors import SpecInvalid
from service.search.configurations import infeasible
from service.states import Cleanup, Wanted
from service.store.requests import NewResources, given


def request(context: Context, experiment_id: str, wanted: Wanted) -> ExperimentView:
    """Wants something of an experiment; to want it again changes nothing."""
    with context.database.session() as repository:
        repository.requests.want(experiment_id, wanted)
    return view(context, experiment_id)


def remove(context: Context, experiment_id: str, what: Cleanup) -> None:
    """Wants an experiment, or its checkpoints, removed."""
    with context.database.session() as repository:
        repository.requests.remove(experiment_id, what)


def resume(context: Context, experiment_id: str, changes: object) -> ExperimentView:
    """Wants what is paused to go on; `changes` is what its trials are given from now on, None where as before.

    Raises:
        NotFound: There is no such experiment.
        SpecInvalid: The spec has faults with these resources; with every one.
        Conflict: It is not paused, or cannot go on with these.
    """
    resources = _checked(context, experiment_id, changes)
    with context.database.session() as repository:
        repository.requests.want(experiment_id, Wanted.RUN, resources)
    return view(context, experiment_id)


def retry(context: Context, experiment_id: str, changes: object) -> ExperimentView:
    """Opens the next generation of what failed or was cancelled; `changes` as for `resume`.

    Raises:
        NotFound: There is no such experiment.
        SpecInvalid: The spec has faults with these resources; with every one.
        Conflict: There is nothing to retry, or it cannot go on with these.
    """
    resources = _checked(context, experiment_id, changes)
    with context.database.session() as repository:
        repository.requests.retry(experiment_id, resources)
    return view(context, experiment_id)


def _checked(context: Context, experiment_id: str, changes: object) -> NewResources | None:
    """The resources that are asked for, once the whole spec has no faults with them."""
    if changes is None or changes == {}:
        return None
    with context.database.reading() as repository:
        row = repository.experiments.get(experiment_id)
    spec = regiven(row.spec, changes)
    before = given(row.spec)
    # To ask again changes nothing, whatever the cluster is like by now.
    if spec.resources != before and (faults := infeasible(spec) + unplaceable(context, spec)):
        raise SpecInvalid(faults)
    return NewResources(before, spec.resources)

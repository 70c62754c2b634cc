"""Requests about a stored experiment: pause, cancel, resume, retry or remove it. They are carried out later."""

from service.answers.experiments import ExperimentView
from service.api.context import Context
from service.api.experiments.submitting import is_planned_here, placement_faults
from service.api.experiments.views import experiment_view
from service.derived.resources import with_resources
from service.errors import FieldError, SpecInvalid
from service.search.configurations import infeasible
from service.spec.experiment import Experiment
from service.states import Cleanup, Wanted
from service.store.requests import NewResources, given


def request(context: Context, experiment_id: str, wanted: Wanted) -> ExperimentView:
    """Store a request about an experiment; repeating the same request changes nothing."""
    with context.database.session() as repository:
        repository.requests.want(experiment_id, wanted)
    return experiment_view(context, experiment_id)


def remove(context: Context, experiment_id: str, what: Cleanup) -> None:
    """Store a request to remove an experiment or its checkpoints."""
    with context.database.session() as repository:
        repository.requests.remove(experiment_id, what)


def resume(context: Context, experiment_id: str, changes: object) -> ExperimentView:
    """Store a request to resume a paused experiment; `changes` are its new resources, None if they stay.

    Raises:
        NotFound: There is no such experiment.
        SpecInvalid: The spec has faults with these resources; the error holds all of them.
        Conflict: It has ended, is being cancelled, or cannot continue with these resources.
    """
    resources = _checked(context, experiment_id, changes)
    with context.database.session() as repository:
        repository.requests.want(experiment_id, Wanted.RUN, resources)
    return experiment_view(context, experiment_id)


def retry(context: Context, experiment_id: str, changes: object) -> ExperimentView:
    """Open the next generation of an experiment that failed or was cancelled; `changes` as for `resume`.

    Raises:
        NotFound: There is no such experiment.
        SpecInvalid: The spec has faults with these resources; the error holds all of them.
        Conflict: There is nothing to retry, or the experiment cannot continue with these resources.
    """
    resources = _checked(context, experiment_id, changes)
    with context.database.session() as repository:
        repository.requests.retry(experiment_id, resources)
    return experiment_view(context, experiment_id)


def _checked(context: Context, experiment_id: str, changes: object) -> NewResources | None:
    """Return the new resources after checking the whole spec with them; None if the request has no changes.

    Raises:
        SpecInvalid: The spec has faults with these resources.
    """
    if changes is None or changes == {}:
        return None
    with context.database.reading() as repository:
        row = repository.experiments.get(experiment_id)
    spec = with_resources(row.spec, changes)
    before = given(row.spec)
    # Unchanged resources are never refused, even if they no longer fit.
    if spec.resources != before:
        faults = _infeasible(context, spec) + placement_faults(context, spec)
        if faults:
            raise SpecInvalid(faults)
    return NewResources(before, spec.resources)


def _infeasible(context: Context, spec: Experiment) -> list[FieldError]:
    """Return the faults for which a stored spec with new resources cannot be planned.

    Resources change neither chains nor stages, so no budget applies.
    """
    return infeasible(spec) if is_planned_here(spec) else context.checkers.call(infeasible, spec)

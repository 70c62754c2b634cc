"""Posts of experiments: check the spec, and store the experiment."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from service.answers.experiments import ExperimentView
from service.answers.validation import NoteView, PlacementView, ResolvedSpec, ValidatedSpec
from service.api.checking.meaning import resolved_spec
from service.api.context import Context
from service.api.experiments.entry_point_notes import entry_point_notes
from service.api.experiments.inspecting import inspected
from service.api.experiments.views import experiment_view
from service.control.destinations import is_ip_address, is_listed, refusal
from service.control.placement import Placement, placement
from service.derived.fork import with_full_starts
from service.errors import FieldError, SpecInvalid
from service.plan import Plan, planned
from service.search.configurations import oversized
from service.settings import Settings
from service.spec.budgets import Budgets
from service.spec.experiment import Experiment, parse
from service.spec.merge import changed
from service.spec.posted import posted_faults
from service.web_address import web_address

# Largest number of stages that a thread of the API resolves; it takes half a second. If there are more, a process that
# checks documents resolves them.
MAX_STAGES_HERE = 500


def submit(context: Context, spec: Experiment, idempotency_key: str | None, preset: str | None) -> ExperimentView:
    """Store an experiment, or return the experiment that the same key and spec created before.

    The key is bound to the meaning of the body, not to its bytes: the same spec in YAML is the same body.
    """
    meaning = json.dumps(spec.model_dump(mode="json", exclude_unset=True), sort_keys=True) + (preset or "")
    digest = hashlib.sha256(meaning.encode()).hexdigest()
    if (known := made_before(context, idempotency_key, digest)) is not None:
        return known
    return store_experiment(context, spec, idempotency_key, digest, preset=preset)


def made_before(context: Context, idempotency_key: str | None, digest: str) -> ExperimentView | None:
    """Return the experiment that an earlier request with the same key and digest created; None if there is none."""
    with context.database.reading() as repository:
        known = repository.experiments.known(idempotency_key, digest)
        experiment_id = None if known is None else known.id
    return None if experiment_id is None else experiment_view(context, experiment_id)


def store_experiment(
    context: Context,
    spec: Experiment,
    idempotency_key: str | None,
    digest: str,
    *,
    preset: str | None = None,
    rerun_of: str | None = None,
) -> ExperimentView:
    """Store an experiment, unless its spec has faults; the key is bound to `digest`."""
    checked = runnable(context, spec)
    filled = checked.spec
    # Planning may take a second, so it comes before this transaction, in which nobody else can write.
    with context.database.session() as repository:
        if filled is not spec:  # it starts from other experiments: lock them, and check again that it can
            filled = with_full_starts(repository, filled)
        row = repository.experiments.create(
            filled,
            checked.plan,
            idempotency_key=idempotency_key,
            body_sha256=digest,
            preset=preset,
            rerun_of=rerun_of,
        )
        experiment_id = row.id
    return experiment_view(context, experiment_id)


@dataclass(frozen=True)
class RunnableSpec:
    """A spec that this service and the current cluster would run.

    Attributes:
        spec: The spec, with its start points in full.
        plan: Its plan.
        notes: Remarks that are no faults: files that its data set leaves out, and what only a node can check.
    """

    spec: Experiment
    plan: Plan
    notes: tuple[FieldError, ...]


def runnable(context: Context, spec: Experiment) -> RunnableSpec:
    """Check everything about a spec that can be known before it runs, and plan it.

    Raises:
        SpecInvalid: This service or the current cluster will not run the spec; the error holds all faults.
    """
    limits = _budgets(context.settings)
    if too_large := oversized(spec, limits):  # first, because everything else takes time
        raise SpecInvalid(too_large)
    data = inspected(context.settings, spec)
    faults = [*_service_faults(context, spec), *placement_faults(context, spec), *data.faults]
    try:
        with context.database.reading() as repository:
            filled = with_full_starts(repository, spec)
        plan = _planned(context, filled, limits)
    except SpecInvalid as error:
        raise SpecInvalid([*error.errors, *faults]) from None
    if faults:
        raise SpecInvalid(faults)
    return RunnableSpec(filled, plan, (*data.notes, *entry_point_notes(spec)))


def _planned(context: Context, spec: Experiment, limits: Budgets) -> Plan:
    """Return the plan, computed in a process that checks documents if it may take more than an instant."""
    return planned(spec, limits) if is_planned_here(spec) else context.checkers.call(planned, spec, limits)


def is_planned_here(spec: Experiment) -> bool:
    """Return whether planning takes so little time that a thread of the API does it."""
    return spec.search is None and sum(len(arm.stages) for arm in spec.arms) <= MAX_STAGES_HERE


def _budgets(settings: Settings) -> Budgets:
    """Return what the plan of a new experiment may cost."""
    return Budgets(settings.max_chains, settings.max_stages, settings.max_configured_stages)


def _service_faults(context: Context, spec: Experiment) -> list[FieldError]:
    """Return the faults of a spec that only the service's settings show."""
    if spec.webhook is None or (problem := _webhook_problem(context, spec.webhook.url)) is None:
        return []
    return [FieldError.at(("webhook", "url"), spec.webhook.url, problem)]


def _webhook_problem(context: Context, url: str) -> str | None:
    """Return why no webhook may go to a URL, judged by its text; None if one may. Each delivery looks up the host."""
    try:
        address = web_address(url)
    except ValueError as error:  # it comes from a stored spec, from which this spec is derived
        return str(error)
    if not is_listed(address, context.settings.webhook_hosts):
        listed = ", ".join(context.settings.webhook_hosts) or "none"
        return f"must be on a host that the operator allows; TET_WEBHOOK_HOSTS lists {listed}"
    if is_ip_address(address.host) and (why := refusal(address.host, address.host)) is not None:
        return f"must be an address to which webhooks may go: {why}"
    return None


def placement_faults(context: Context, spec: Experiment) -> list[FieldError]:
    """Return why the trials do not fit on the cluster now, if the spec asks to be refused in that case."""
    if spec.resources.if_unplaceable != "refuse":
        return []
    fit = _placement(context, spec)
    if fit.possible is not False:
        return []
    return [
        FieldError.at(
            ("resources", "if_unplaceable"),
            "refuse",
            f"the trials cannot be placed now: {fit.detail}; 'wait' would queue the experiment",
        )
    ]


def fork(context: Context, parent_id: str, changes: object, idempotency_key: str | None) -> ExperimentView:
    """Store an experiment whose chains start where the parent's chains ended; `changes` are merged into its spec."""
    with context.database.reading() as repository:
        parent = repository.experiments.get(parent_id)
    if changes is not None and not isinstance(changes, Mapping):
        raise SpecInvalid([FieldError.at((), changes, "must be a mapping: the part of the spec that changes")])
    arms = [{key: value for key, value in arm.items() if key != "start"} for arm in parent.spec["arms"]]
    base = {**parent.spec, "arms": arms, "start": {"experiment": parent_id}}
    return submit(context, parse(changed(base, changes or {}), also=posted_faults(changes)), idempotency_key, None)


def validate(context: Context, spec: Experiment) -> ValidatedSpec:
    """Check a spec; return the number of its chains and trials, whether they fit, and the resolved stages."""
    checked = runnable(context, spec)
    return ValidatedSpec(
        num_chains=len(checked.plan),
        num_stages=checked.plan.num_stages,
        num_trials=checked.plan.num_stages,
        placement=PlacementView.model_validate(_placement(context, spec), from_attributes=True),
        notes=[NoteView(field=each.field, pointer=each.pointer, detail=each.detail) for each in checked.notes],
        resolved=_resolved(context, checked.spec),
    )


def _resolved(context: Context, spec: Experiment) -> ResolvedSpec:
    if sum(len(arm.stages) for arm in spec.arms) <= MAX_STAGES_HERE:
        return resolved_spec(spec)
    return context.checkers.call(resolved_spec, spec)


def _placement(context: Context, spec: Experiment) -> Placement:
    """Return whether the spec's trials fit on the current cluster."""
    resources = spec.resources
    return placement(resources.demand(), context.jobs.cluster_resources(), resources.workers_per_trial)

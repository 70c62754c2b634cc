"""Posts of experiments: check the spec, and store the experiment."""

import hashlib
import json
from collections.abc import Mapping

from service.answers.experiments import ExperimentView
from service.answers.validation import NoteView, PlacementView, ResolvedArm, ResolvedSpec, ValidatedSpec
from service.api.context import Context
from service.api.experiments.inspecting import inspected
from service.api.experiments.views import experiment_view
from service.control.placement import Placement, placement
from service.control.webhook import is_allowed
from service.derived.fork import with_full_starts
from service.errors import FieldError, SpecInvalid
from service.plan import plan
from service.search.configurations import configured_arms, infeasible
from service.spec.experiment import Experiment, parse, resolve_stage
from service.spec.merge import merged


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
    with context.database.session() as repository:
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
    refuse_unrunnable(context, spec)
    with context.database.session() as repository:
        filled = with_full_starts(repository, spec)
        row = repository.experiments.create(
            filled,
            plan(filled),
            idempotency_key=idempotency_key,
            body_sha256=digest,
            preset=preset,
            rerun_of=rerun_of,
        )
        experiment_id = row.id
    return experiment_view(context, experiment_id)


def refuse_unrunnable(context: Context, spec: Experiment) -> list[FieldError]:
    """Refuse a spec that this service or the current cluster will not run; return notes that are no faults.

    Raises:
        SpecInvalid: The spec has such faults; the error holds all of them.
    """
    faults = infeasible(spec)
    if spec.webhook is not None and not is_allowed(spec.webhook.url, context.settings.webhook_hosts):
        listed = ", ".join(context.settings.webhook_hosts) or "none"
        detail = f"must be on a host that the operator allows; TET_WEBHOOK_HOSTS lists {listed}"
        faults.append(FieldError.at(("webhook", "url"), spec.webhook.url, detail))
    faults += placement_faults(context, spec)
    data = inspected(context.settings, spec)
    if faults or data.faults:
        raise SpecInvalid([*faults, *data.faults])
    return data.notes


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
    return submit(context, parse(merged(base, changes or {})), idempotency_key, None)


def validate(context: Context, spec: Experiment) -> ValidatedSpec:
    """Check a spec; return the number of its chains and trials, whether they fit, and the resolved stages."""
    notes = refuse_unrunnable(context, spec)
    with context.database.session() as repository:
        spec = with_full_starts(repository, spec)
    num_configurations = [len(each) for each in configured_arms(spec)]
    pairs = zip(spec.arms, num_configurations, strict=True)
    num_stages = sum(len(arm.stages) * count for arm, count in pairs) * len(spec.seeds)
    return ValidatedSpec(
        num_chains=sum(num_configurations) * len(spec.seeds),
        num_stages=num_stages,
        num_trials=num_stages,
        notes=[NoteView(field=each.field, pointer=each.pointer, detail=each.detail) for each in notes],
        placement=PlacementView.model_validate(_placement(context, spec), from_attributes=True),
        resolved=resolved_spec(spec),
    )


def _placement(context: Context, spec: Experiment) -> Placement:
    """Return whether the spec's trials fit on the current cluster."""
    resources = spec.resources
    return placement(resources.demand(), context.jobs.cluster_resources(), resources.workers_per_trial)


def resolved_spec(spec: Experiment) -> ResolvedSpec:
    """Resolve every stage of every arm, as the first seed would run it."""
    arms = [
        ResolvedArm(
            name=arm.name,
            stages=[
                {"kind": stage.kind}
                | resolve_stage(spec, number, index, spec.seeds[0]).model_dump(
                    mode="json", exclude={"seed": True, "train": {"seed"}}
                )
                for index, stage in enumerate(arm.stages)
            ],
        )
        for number, arm in enumerate(spec.arms)
    ]
    return ResolvedSpec(baseline=spec.baseline_arm, seeds=list(spec.seeds), arms=arms)

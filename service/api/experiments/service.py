"""What the endpoints of experiments do: from requests to the database, and back to what is answered."""

import hashlib
import json
from collections.abc import Mapping

from starlette.exceptions import HTTPException

from service.api.context import Context
from service.api.experiments.schemas import (
    ChainView,
    EarlierResources,
    ExperimentPage,
    ExperimentSummary,
    ExperimentView,
    FailureView,
    Links,
    OutcomeView,
    PlacementView,
    Progress,
    ResolvedArm,
    ResolvedSpec,
    StageFailureView,
    StageView,
    Validation,
    WebhookView,
    WholeProgress,
)
from service.api.experiments.searching import search_view
from service.control.jobs import submission_id
from service.control.placement import Placement, placement
from service.control.webhook import is_allowed
from service.derived.fork import settled
from service.errors import FieldError, NotFound, SpecInvalid
from service.plan import plan
from service.search.configurations import configured_arms, infeasible
from service.settings import Settings
from service.spec.experiment import Experiment, parse, resolve_stage
from service.spec.merge import merged
from service.states import Cleanup, ExperimentState, Wanted, WorkState
from service.store.requests import given
from service.store.sums import Extent
from service.store.tables import ChainRow, ExperimentRow

# So many chains are embedded in an experiment; the rest come by cursor.
MAX_CHAINS_EMBEDDED = 1_000


def submit(context: Context, spec: Experiment, idempotency_key: str | None, preset: str | None) -> ExperimentView:
    """Stores an experiment, or finds the one that the same key and spec made before.

    The key is bound to what the body means, not to its bytes: the same spec in YAML is the same body.
    """
    meaning = json.dumps(spec.model_dump(mode="json", exclude_unset=True), sort_keys=True) + (preset or "")
    digest = hashlib.sha256(meaning.encode()).hexdigest()
    if (known := made_before(context, idempotency_key, digest)) is not None:
        return known
    return store(context, spec, idempotency_key, digest, preset=preset)


def made_before(context: Context, idempotency_key: str | None, digest: str) -> ExperimentView | None:
    """What a key has made of the same request already."""
    with context.database.session() as repository:
        known = repository.experiments.known(idempotency_key, digest)
        experiment_id = None if known is None else known.id
    return None if experiment_id is None else view(context, experiment_id)


def store(
    context: Context,
    spec: Experiment,
    idempotency_key: str | None,
    digest: str,
    *,
    preset: str | None = None,
    rerun_of: str | None = None,
) -> ExperimentView:
    """Stores an experiment, unless it is refused; `digest` is what the key is bound to."""
    check(context, spec)
    with context.database.session() as repository:
        whole = settled(repository, spec)
        row = repository.experiments.create(
            whole, plan(whole), idempotency_key=idempotency_key, body_sha256=digest, preset=preset, rerun_of=rerun_of
        )
        experiment_id = row.id
    return view(context, experiment_id)


def check(context: Context, spec: Experiment) -> None:
    """Refuses what this service, or the cluster as it is now, will not run.

    Raises:
        SpecInvalid: With every such fault.
    """
    faults = infeasible(spec)
    if spec.webhook is not None and not is_allowed(spec.webhook.url, context.settings.webhook_hosts):
        listed = ", ".join(context.settings.webhook_hosts) or "none so far"
        detail = f"must be on a host that the operator allows (TET_WEBHOOK_HOSTS): {listed}"
        faults.append(FieldError.at(("webhook", "url"), spec.webhook.url, detail))
    faults += unplaceable(context, spec)
    if faults:
        raise SpecInvalid(faults)


def unplaceable(context: Context, spec: Experiment) -> list[FieldError]:
    """What keeps a spec that is to be refused otherwise from being placed on the cluster as it is now."""
    if spec.resources.if_unplaceable != "refuse":
        return []
    found = _placement(context, spec)
    if found.possible is not False:
        return []
    return [FieldError.at(("resources", "if_unplaceable"), "refuse", f"it cannot be placed now: {found.detail}")]


def fork(context: Context, parent_id: str, changes: object, idempotency_key: str | None) -> ExperimentView:
    """Stores an experiment whose chains start where another's ended; `changes` are merged over the other's spec."""
    with context.database.reading() as repository:
        parent = repository.experiments.get(parent_id)
    if changes is not None and not isinstance(changes, Mapping):
        raise SpecInvalid(
            [FieldError.at((), changes, "must be a mapping: the part of the spec that is to be different")]
        )
    arms = [{key: value for key, value in arm.items() if key != "start"} for arm in parent.spec["arms"]]
    base = {**parent.spec, "arms": arms, "start": {"experiment": parent_id}}
    return submit(context, parse(merged(base, changes or {})), idempotency_key, None)


def validate(context: Context, spec: Experiment) -> Validation:
    """Says what a spec without faults would ask for."""
    check(context, spec)
    with context.database.session() as repository:
        spec = settled(repository, spec)
    num_configurations = [len(each) for each in configured_arms(spec)]
    pairs = zip(spec.arms, num_configurations, strict=True)
    num_stages = sum(len(arm.stages) * count for arm, count in pairs) * len(spec.seeds)
    return Validation(
        num_chains=sum(num_configurations) * len(spec.seeds),
        num_stages=num_stages,
        num_trials=num_stages,
        placement=PlacementView.model_validate(_placement(context, spec), from_attributes=True),
        resolved=resolved(spec),
    )


def _placement(context: Context, spec: Experiment) -> Placement:
    """Whether its trials fit on the cluster as it is now."""
    resources = spec.resources
    return placement(resources.demand(), context.jobs.cluster_resources(), resources.workers_per_trial)


def resolved(spec: Experiment) -> ResolvedSpec:
    """Settles every stage of every arm, as the first seed would run it."""
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


def page(
    context: Context, *, limit: int, cursor: str | None, state: ExperimentState | None, name: str | None
) -> ExperimentPage:
    """Lists experiments, newest first; `cursor` is the id of the last one of the page before."""
    with context.database.reading() as repository:
        try:
            rows = repository.experiments.page(limit=limit + 1, after=cursor, state=state, name=name)
        except NotFound:
            raise HTTPException(422, f"cursor={cursor}: must be the next_cursor of a page that was answered") from None
    shown = [summary(context.settings, row) for row in rows[:limit]]
    return ExperimentPage(experiments=shown, next_cursor=shown[-1].id if len(rows) > limit else None)


def view(context: Context, experiment_id: str, *, after: int = -1, limit: int = MAX_CHAINS_EMBEDDED) -> ExperimentView:
    """Shows an experiment with the chains behind position `after`."""
    with context.database.reading() as repository:
        row = repository.experiments.get(experiment_id)
        chains = repository.work.chains(experiment_id, limit=limit + 1, after=after)
        # Once for all pages: of 100,000 chains it takes a good part of a second.
        whole = repository.sums.extent(experiment_id) if after < 0 else None
        search = search_view(repository, row) if after < 0 else None
        outcomes, parents = (
            repository.experiments.outcomes(experiment_id),
            repository.experiments.parents(experiment_id),
        )
    shown = summary(context.settings, row)
    return ExperimentView(
        **{**dict(shown), "progress": _progress(row, whole)},
        parents=parents,
        rerun_of=row.rerun_of,
        history=[OutcomeView.model_validate(outcome, from_attributes=True) for outcome in outcomes],
        resources=given(row.spec),
        resources_history=[EarlierResources.model_validate(each) for each in row.resources_history],
        checkpoints_removed_at=row.checkpoints_removed_at,
        delete_at=row.delete_at,
        webhook=_webhook(row),
        search=search,
        chains=[_chain(chain) for chain in chains[:limit]],
        next_cursor=str(chains[limit - 1].position) if len(chains) > limit else None,
    )


def request(context: Context, experiment_id: str, wanted: Wanted) -> ExperimentView:
    """Wants something of an experiment; to want it again changes nothing."""
    with context.database.session() as repository:
        repository.requests.want(experiment_id, wanted)
    return view(context, experiment_id)


def remove(context: Context, experiment_id: str, what: Cleanup) -> None:
    """Wants an experiment, or its checkpoints, removed."""
    with context.database.session() as repository:
        repository.requests.remove(experiment_id, what)


def summary(settings: Settings, row: ExperimentRow) -> ExperimentSummary:
    """Shows an experiment without its chains."""
    return ExperimentSummary(
        id=row.id,
        name=row.name,
        state=ExperimentState(row.state),
        reason=row.reason,
        reason_kind=row.reason_kind,
        failure=None if row.failure is None else FailureView.model_validate(row.failure),
        owner=row.owner,
        priority=row.priority,
        generation=row.generation,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        preset=row.preset,
        links=_links(settings, row),
        progress=Progress(stages_done=row.stages_done, stages_total=row.stages_total),
    )


def _progress(row: ExperimentRow, whole: Extent | None) -> WholeProgress:
    if whole is None:
        return WholeProgress(stages_done=row.stages_done, stages_total=row.stages_total)
    return WholeProgress(
        stages_done=row.stages_done,
        stages_total=row.stages_total,
        chains_total=whole.num_chains,
        epochs_done=whole.epochs_done,
        epochs_total=whole.epochs_total,
        rows_done=whole.rows_done,
        rows_total=whole.rows_total,
        work_done=whole.work_done,
        work_total=whole.work_total,
    )


def _webhook(row: ExperimentRow) -> WebhookView | None:
    block = row.spec.get("webhook")
    if block is None:
        return None
    return WebhookView(
        url=block["url"],
        tries=row.notify_tries,
        error=row.notify_error,
        delivered_at=row.notified_at,
        next_try_at=row.notify_at,
    )


def _links(settings: Settings, row: ExperimentRow) -> Links:
    links = Links()
    if row.mlflow_experiment_id is not None:
        links.mlflow = f"{settings.mlflow_public_url}/#/experiments/{row.mlflow_experiment_id}/runs"
    if row.driver_attempt > 0:
        links.ray = f"{settings.ray_public_url}/#/jobs/{submission_id(row.id, row.driver_attempt)}"
    return links


def _chain(row: ChainRow) -> ChainView:
    stages = [
        StageView(
            index=stage.index,
            kind=stage.kind,
            T=stage.T,
            state=WorkState(stage.state),
            epoch=stage.epoch,
            epochs=stage.epochs,
            metrics=stage.metrics,
            weights_sha256=stage.weights_sha256,
            mlflow_run_id=stage.mlflow_run_id,
            attempts=stage.attempts,
            failure=None if stage.failure is None else StageFailureView.model_validate(stage.failure),
        )
        for stage in row.stages
    ]
    return ChainView(
        id=row.id,
        arm=row.arm,
        seed=row.seed,
        configuration=row.hyperparameters,
        reason=row.reason,
        state=WorkState(row.state),
        stages=stages,
    )

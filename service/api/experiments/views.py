"""From stored rows to answers: experiments, their chains and stages."""

from starlette.exceptions import HTTPException

from service.answers.chains import ChainView, FailureView, StageFailureView, StageView
from service.answers.chances import ChanceView
from service.answers.experiments import (
    EarlierResources,
    ExperimentPage,
    ExperimentSummary,
    ExperimentView,
    Links,
    OutcomeView,
    ProgressSummary,
    ProgressView,
    WebhookView,
)
from service.api.context import Context
from service.api.experiments.searching import search_view
from service.chance import against_chance
from service.errors import NotFound
from service.events import ClassCounts
from service.job_name import submission_id
from service.mlflow_page import page_of
from service.results.comparison import QUANTITY
from service.results.failure_groups import MAX_FAILURES, failure_group
from service.settings import Settings
from service.states import ExperimentState, WorkState
from service.store.requests import given
from service.store.sums import Extent
from service.store.tables import ChainRow, ExperimentRow, StageRow

# Largest number of chains in an answer; further chains come by cursor.
MAX_CHAINS_EMBEDDED = 1_000
# Largest number of stages in an answer, unless a single chain has more: 200 chains may have 20,000 stages.
MAX_STAGES_EMBEDDED = 3_000


def experiment_page(
    context: Context, *, limit: int, cursor: str | None, state: ExperimentState | None, name: str | None
) -> ExperimentPage:
    """List experiments, newest first; `cursor` is the id of the last experiment on the previous page."""
    with context.database.reading() as repository:
        try:
            rows = repository.experiments.page(limit=limit + 1, after=cursor, state=state, name=name)
        except NotFound:
            raise HTTPException(422, f"cursor={cursor}: must be the next_cursor of an earlier page") from None
    shown = [experiment_summary(context.settings, row) for row in rows[:limit]]
    return ExperimentPage(experiments=shown, next_cursor=shown[-1].id if len(rows) > limit else None)


def experiment_view(
    context: Context, experiment_id: str, *, after: int = -1, limit: int = MAX_CHAINS_EMBEDDED
) -> ExperimentView:
    """Show an experiment, with the chains after position `after`."""
    with context.database.reading() as repository:
        row = repository.experiments.get(experiment_id)
        limit = min(limit, max(1, MAX_STAGES_EMBEDDED // _longest_chain(row)))
        chains = repository.work.chains(experiment_id, limit=limit + 1, after=after)
        # Only on the first page: for 100,000 chains, this takes a large part of a second.
        extent = repository.sums.extent(experiment_id) if after < 0 else None
        search = search_view(repository, row) if after < 0 else None
        failures = repository.sums.failures(experiment_id, MAX_FAILURES) if after < 0 else []
        outcomes, parents = (
            repository.experiments.outcomes(experiment_id),
            repository.experiments.parents(experiment_id),
        )
    shown = experiment_summary(context.settings, row)
    return ExperimentView(
        **{**dict(shown), "progress": _progress(row, extent)},
        parents=parents,
        rerun_of=row.rerun_of,
        history=[OutcomeView.model_validate(outcome, from_attributes=True) for outcome in outcomes],
        resources=given(row.spec),
        resources_history=[EarlierResources.model_validate(each) for each in row.resources_history],
        checkpoints_removed_at=row.checkpoints_removed_at,
        delete_at=row.delete_at,
        webhook=_webhook(row),
        search=search,
        failures=[failure_group(each) for each in failures],
        chains=[_chain_view(chain) for chain in chains[:limit]],
        next_cursor=str(chains[limit - 1].position) if len(chains) > limit else None,
    )


def _longest_chain(row: ExperimentRow) -> int:
    """Return the number of stages of the longest chain."""
    return max(len(arm["stages"]) for arm in row.spec["arms"])


def experiment_summary(settings: Settings, row: ExperimentRow) -> ExperimentSummary:
    """Show an experiment without its chains."""
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
        progress=ProgressSummary(stages_done=row.stages_done, stages_total=row.stages_total),
    )


def _progress(row: ExperimentRow, extent: Extent | None) -> ProgressView:
    if extent is None:
        return ProgressView(stages_done=row.stages_done, stages_total=row.stages_total)
    return ProgressView(
        stages_done=row.stages_done,
        stages_total=row.stages_total,
        chains_total=extent.num_chains,
        epochs_done=extent.epochs_done,
        epochs_total=extent.epochs_total,
        rows_done=extent.rows_done,
        rows_total=extent.rows_total,
        work_done=extent.work_done,
        work_total=extent.work_total,
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
        links.mlflow = f"{settings.mlflow_public_url}{page_of(row.mlflow_experiment_id, row.mlflow_view)}"
    links.is_ray_job_gone = row.is_job_forgotten
    if row.driver_attempt > 0 and not row.is_job_forgotten:
        links.ray = f"{settings.ray_public_url}/#/jobs/{submission_id(row.id, row.driver_attempt)}"
    return links


def _chance(stage: StageRow) -> ChanceView | None:
    """Return how a stage's test accuracy compares with chance; None if it has none, or its test set is not known."""
    accuracy = stage.metrics.get(QUANTITY)
    if accuracy is None or stage.test_set is None:
        return None
    return against_chance(accuracy, ClassCounts.model_validate(stage.test_set))


def _chain_view(row: ChainRow) -> ChainView:
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
            chance=_chance(stage),
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

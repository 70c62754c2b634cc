"""/experiments/{id}/...: cancel, pause, resume, retry, fork, rerun-best, delete, verify, list and show replays."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from service.answers.experiments import ExperimentView
from service.answers.verification import VerificationPage, VerificationView
from service.api.context import InContext
from service.api.experiments import intents, rerunning, submitting, verifying
from service.api.experiments.bodies import PostedChanges, RerunRequest, Turn, VerificationRequest
from service.api.experiments.parameters import ExperimentId, Key
from service.api.openapi import MADE, TAKES_CHANGES, TAKES_RESOURCES, problem_responses
from service.states import Cleanup, Wanted

router = APIRouter(prefix="/experiments/{experiment_id}", tags=["life cycle"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="The number of the verification, from 1.")]


@router.post("/cancel", status_code=202, summary="Cancel an experiment", responses=problem_responses(404, 409))
def cancel(context: InContext, experiment_id: ExperimentId) -> ExperimentView:
    """Cancel the experiment; this takes effect a little later. 409 if it has succeeded or failed.

    Running trials commit their epoch first, if that takes no longer than the service's `TET_STOP_WINDOW_S`.
    """
    return intents.request(context, experiment_id, Wanted.CANCEL)


@router.post("/pause", status_code=202, summary="Pause an experiment", responses=problem_responses(404, 409))
def pause(context: InContext, experiment_id: ExperimentId) -> ExperimentView:
    """Pause the experiment; this takes effect a little later. 409 if it has ended or is being cancelled.

    Running trials commit their epoch first, as for `cancel`. A paused experiment does not count as a running one.
    """
    return intents.request(context, experiment_id, Wanted.PAUSE)


@router.post(
    "/resume",
    status_code=202,
    summary="Resume an experiment",
    openapi_extra=TAKES_RESOURCES,
    responses=problem_responses(400, 404, 409, 413, 415, 422),
)
def resume(context: InContext, experiment_id: ExperimentId, changes: PostedChanges) -> ExperimentView:
    """Put a paused experiment back into the queue: it continues from its last epochs, in the same MLflow runs.

    409 if it has ended or is being cancelled. A body may give its trials new `resources`, such as fewer workers after a
    node is lost permanently; keys that are left out keep their values. Resources change only while the experiment is
    paused; otherwise the answer is 409. Once a stage has started, `cpus_per_trial`, and whether there is a GPU, cannot
    change, because the exact results depend on them. The number of workers can change: at most it affects the last
    digits of a result. Earlier resources are kept in `resources_history`.
    """
    return intents.resume(context, experiment_id, changes)


@router.post(
    "/retry",
    status_code=202,
    summary="Retry an experiment",
    openapi_extra=TAKES_RESOURCES,
    responses=problem_responses(400, 404, 409, 413, 415, 422),
)
def retry(context: InContext, experiment_id: ExperimentId, changes: PostedChanges) -> ExperimentView:
    """Open a new generation of a failed or cancelled experiment: only stages that have not succeeded run again.

    Stages continue from their last epochs, in the same MLflow runs. The outcome so far is kept in `history`. 409 if
    there is nothing to retry. A body may give its trials new `resources`, as for `resume`.
    """
    return intents.retry(context, experiment_id, changes)


@router.post(
    "/fork",
    status_code=202,
    summary="Start a new experiment from the checkpoints of this one",
    openapi_extra=TAKES_CHANGES,
    responses=MADE | problem_responses(400, 404, 409, 413, 415, 422),
)
def fork(
    context: InContext,
    experiment_id: ExperimentId,
    changes: PostedChanges,
    response: Response,
    idempotency_key: Key = None,
) -> ExperimentView:
    """Post this spec with the changes of the body, as a new experiment that starts where these chains ended.

    Blocks of the body are merged key by key, lists are replaced whole. `start`, in the spec or in an arm, names another
    arm or stage to start from. Random draws continue as they would in a longer chain.
    """
    created = submitting.fork(context, experiment_id, changes, idempotency_key)
    response.headers["Location"] = f"/experiments/{created.id}"
    return created


@router.post(
    "/rerun-best",
    status_code=202,
    summary="Measure a search's best configurations over new seeds",
    dependencies=[Turn],
    responses=MADE | problem_responses(400, 404, 409, 413, 422),
)
def rerun_best(
    context: InContext,
    experiment_id: ExperimentId,
    wanted: RerunRequest,
    response: Response,
    idempotency_key: Key = None,
) -> ExperimentView:
    """Post this search's spec without the search: each arm in its best configuration, over new seeds.

    The best of many configurations looks better than it is on the seeds by which it was chosen, so these seeds are
    refused. 409 if the experiment has no search or has not ended, or if an arm has no result to choose from.
    """
    created = rerunning.rerun_best(context, experiment_id, wanted, idempotency_key)
    response.headers["Location"] = f"/experiments/{created.id}"
    return created


@router.delete(
    "",
    status_code=202,
    summary="Delete an experiment, or its checkpoints",
    response_class=Response,
    responses=problem_responses(404, 409, 422),
)
def delete(
    context: InContext,
    experiment_id: ExperimentId,
    what: Annotated[
        Literal["everything", "checkpoints"],
        Query(
            description="'everything': its files, its rows and its MLflow experiment; "
            "'checkpoints': only its checkpoints."
        ),
    ] = "everything",
) -> Response:
    """Delete the experiment; this takes a moment.

    409 until it has ended, and while another experiment exists that started from it. MLflow moves its experiment into
    the trash, from which it can be restored until the trash is emptied.
    """
    intents.remove(context, experiment_id, Cleanup(what))
    return Response(status_code=202)


@router.post(
    "/verify", status_code=202, summary="Replay a stage", responses=MADE | problem_responses(400, 404, 409, 413, 422)
)
def verify(
    context: InContext, experiment_id: ExperimentId, wanted: VerificationRequest, response: Response
) -> VerificationView:
    """Train or analyse a stage again from its start, and compare every metric and the weights bit by bit.

    This takes as long as the stage took. `Location` is the address of the verification.
    """
    created = verifying.verify(context, experiment_id, wanted.chain, wanted.stage)
    response.headers["Location"] = f"/experiments/{experiment_id}/verifications/{created.number}"
    return created


@router.get("/verifications", summary="List replays", responses=problem_responses(404, 422))
def verifications(
    context: InContext,
    experiment_id: ExperimentId,
    cursor: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next_cursor` of the previous page.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> VerificationPage:
    """List the replays of this experiment, oldest first."""
    return verifying.verification_page(context, experiment_id, after=cursor, limit=limit)


@router.get("/verifications/{number}", summary="Show a replay", responses=problem_responses(404, 422))
def verification(context: InContext, experiment_id: ExperimentId, number: Number) -> VerificationView:
    """Show a replay: `equal`, or `different` with the first difference, once it has ended."""
    return verifying.verification_view(context, experiment_id, number)

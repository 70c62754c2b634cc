"""/experiments/{id}/...: pause, resume, cancel, retry, fork, rerun-best, delete, verify."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from service.api.context import InContext
from service.api.experiments import intents, rerunning, submitting, verifying
from service.api.experiments.bodies import PostedChanges, RerunRequest
from service.api.experiments.parameters import ExperimentId, Key
from service.api.experiments.schemas import ExperimentView, VerificationPage, VerificationRequest, VerificationView
from service.api.openapi import MADE, TAKES_CHANGES, TAKES_RESOURCES, answers
from service.states import Cleanup, Wanted

router = APIRouter(prefix="/experiments/{experiment_id}", tags=["life cycle"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="The verification's number, from 1.")]


@router.post("/cancel", status_code=202, summary="Cancel an experiment", responses=answers(404, 409))
def cancel(context: InContext, experiment_id: ExperimentId) -> ExperimentView:
    """Wants it cancelled, which takes effect a little later; 409 once it has succeeded or failed.

    Trials at work commit their epoch first, if that takes no longer than the service's `TET_STOP_WINDOW_S`.
    """
    return intents.request(context, experiment_id, Wanted.CANCEL)


@router.post("/pause", status_code=202, summary="Pause an experiment", responses=answers(404, 409))
def pause(context: InContext, experiment_id: ExperimentId) -> ExperimentView:
    """Wants it paused, which takes effect a little later; 409 once it has ended or is being cancelled.

    Trials at work commit their epoch first, as for `cancel`. What is paused holds no slot of the queue.
    """
    return intents.request(context, experiment_id, Wanted.PAUSE)


@router.post(
    "/resume",
    status_code=202,
    summary="Resume an experiment",
    openapi_extra=TAKES_RESOURCES,
    responses=answers(400, 404, 409, 413, 415, 422),
)
def resume(context: InContext, experiment_id: ExperimentId, changes: PostedChanges) -> ExperimentView:
    """Puts what is paused back into the queue: it goes on from its last epochs, in the same runs. 409 as above.

    A body may give its trials other `resources` from now on, such as fewer workers once a node is lost for good; keys
    that are left out stay. With others than before, 409 unless it is paused. Once something has begun,
    `cpus_per_trial`, and whether there is a GPU, stay as they are: bits depend on them, and on the number of workers in
    the last places. What was given before is kept in `resources_history`.
    """
    return intents.resume(context, experiment_id, changes)


@router.post(
    "/retry",
    status_code=202,
    summary="Retry what failed",
    openapi_extra=TAKES_RESOURCES,
    responses=answers(400, 404, 409, 413, 415, 422),
)
def retry(context: InContext, experiment_id: ExperimentId, changes: PostedChanges) -> ExperimentView:
    """Opens a new generation of what failed or was cancelled: only what has not succeeded runs again.

    Stages go on from their last epochs, in the same runs. The outcome so far is kept in `history`. 409 where there is
    nothing to retry. A body may give its trials other `resources`, as for `resume`.
    """
    return intents.retry(context, experiment_id, changes)


@router.post(
    "/fork",
    status_code=202,
    summary="Start a new experiment from another's checkpoints",
    openapi_extra=TAKES_CHANGES,
    responses=MADE | answers(400, 404, 409, 413, 415, 422),
)
def fork(
    context: InContext,
    experiment_id: ExperimentId,
    changes: PostedChanges,
    response: Response,
    idempotency_key: Key = None,
) -> ExperimentView:
    """Posts this experiment's spec, with what the body changes, to start where this experiment's chains ended.

    Blocks of the body are merged key by key, lists are replaced whole. By `start`, of the spec or of an arm, chains
    start at another arm or stage. Random draws go on where they were, so a fork equals a longer chain.
    """
    made = submitting.fork(context, experiment_id, changes, idempotency_key)
    response.headers["Location"] = f"/experiments/{made.id}"
    return made


@router.post(
    "/rerun-best",
    status_code=202,
    summary="Measure what a search has chosen over new seeds",
    responses=MADE | answers(400, 404, 409, 413, 422),
)
def rerun_best(
    context: InContext,
    experiment_id: ExperimentId,
    wanted: RerunRequest,
    response: Response,
    idempotency_key: Key = None,
) -> ExperimentView:
    """Posts this search's spec without the search: each arm in its best configuration, over seeds that chose nothing.

    The best of many looks better than it is on the seeds by which it is the best, so none of these is taken. 409 until
    the search has ended, where there is none, and where an arm has no result to choose from.
    """
    made = rerunning.rerun_best(context, experiment_id, wanted, idempotency_key)
    response.headers["Location"] = f"/experiments/{made.id}"
    return made


@router.delete(
    "",
    status_code=202,
    summary="Delete an experiment, or its checkpoints",
    response_class=Response,
    responses=answers(404, 409, 422),
)
def delete(
    context: InContext,
    experiment_id: ExperimentId,
    what: Annotated[
        Literal["everything", "checkpoints"],
        Query(description="'everything': its files, its rows and its MLflow experiment; 'checkpoints': these alone."),
    ] = "everything",
) -> Response:
    """Wants it gone, which takes a moment; 409 until it has ended, and while another starts from its checkpoints.

    In MLflow the experiment goes into the trash, from where it can be restored until that is emptied.
    """
    intents.remove(context, experiment_id, Cleanup(what))
    return Response(status_code=202)


@router.post("/verify", status_code=202, summary="Replay a stage", responses=MADE | answers(400, 404, 409, 413, 422))
def verify(
    context: InContext, experiment_id: ExperimentId, wanted: VerificationRequest, response: Response
) -> VerificationView:
    """Trains or analyses a stage once more, from where it started, and compares every number and every bit.

    It takes as long as the stage took. `Location` says where the answer will be.
    """
    made = verifying.verify(context, experiment_id, wanted.chain, wanted.stage)
    response.headers["Location"] = f"/experiments/{experiment_id}/verifications/{made.number}"
    return made


@router.get("/verifications", summary="List replays", responses=answers(404, 422))
def verifications(
    context: InContext,
    experiment_id: ExperimentId,
    cursor: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next_cursor` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> VerificationPage:
    """Oldest first."""
    return verifying.page(context, experiment_id, after=cursor, limit=limit)


@router.get("/verifications/{number}", summary="Show a replay", responses=answers(404, 422))
def verification(context: InContext, experiment_id: ExperimentId, number: Number) -> VerificationView:
    """`equal`, or `different` with the first difference, once it has ended."""
    return verifying.view(context, experiment_id, number)

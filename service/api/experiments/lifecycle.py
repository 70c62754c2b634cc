"""/experiments/{id}/...: cancel, pause, resume, retry, fork, rerun-best, delete, verify, list and show replays."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from service.answers.experiments import ExperimentView
from service.answers.verification import VerificationPage, VerificationView
from service.api.context import InContext
from service.api.experiments import intents, rerunning, submitting, verifying
from service.api.experiments.bodies import PostedChanges, RerunRequest, VerificationRequest
from service.api.experiments.parameters import ExperimentId, Key
from service.api.openapi import MADE, TAKES_CHANGES, TAKES_RESOURCES, problem_responses
from service.states import Cleanup, Wanted

router = APIRouter(prefix="/experiments/{experiment_id}", tags=["life cycle"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="The number of the verification, from 1.")]


@router.post("/cancel", status_code=202, summary="Cancel an experiment", responses=problem_responses(404, 409))
def cancel(context: InContext, experiment_id: ExperimentId) -> ExperimentView:
    """Cancel the experiment, which takes effect a little later; 409 once it has succeeded or failed.

    Running trials commit their epoch first, if that takes no longer than the service's `TET_STOP_WINDOW_S`.
    """
    return intents.request(context, experiment_id, Wanted.CANCEL)


@router.post("/pause", status_code=202, summary="Pause an experiment", responses=problem_responses(404, 409))
def pause(context: InContext, experiment_id: ExperimentId) -> ExperimentView:
    """Pause the experiment, which takes effect a little later; 409 once it has ended or is being cancelled.

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

    409 once it has ended or is being cancelled. A body may give its trials other `resources` from now on, such as fewer
    workers after a node is lost for good; keys that are left out stay. Other resources than before need a paused
    experiment, else the answer is 409. Once a stage has started, `cpus_per_trial`, and whether there is a GPU, cannot
    change, since the bits of the results depend on them. The number of workers can: it changes the last digits of a
    result at most. Earlier resources are kept in `resources_history`.
    """
    return intents.resume(context, experiment_id, changes)


@router.post(
    "/retry",
    status_code=202,
    summary="Retry what failed",
    openapi_extra=TAKES_RESOURCES,
    responses=problem_responses(400, 404, 409, 413, 415, 422),
)
def retry(context: InContext, experiment_id: ExperimentId, changes: PostedChanges) -> ExperimentView:
    """Open a new generation of an experiment that failed or was cancelled: only what has not succeeded runs again.

    Stages continue from their last epochs, in the same MLflow runs. The outcome so far is kept in `history`. 409 if
    there is nothing to retry. A body may give its trials other `resources`, as for `resume`.
    """
    return intents.retry(context, experiment_id, changes)


@router.post(
    "/fork",
    status_code=202,
    summary="Start a new experiment from another's checkpoints",
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
    """Post this experiment's spec, with the changes of the body, to start where this experiment's chains ended.

    Blocks of the body are merged key by key, lists are replaced whole. `start`, in the spec or in an arm, names another
    arm or stage to start from. Random draws continue where they were, so a fork equals a longer chain.
    """
    made = submitting.fork(context, experiment_id, changes, idempotency_key)
    response.headers["Location"] = f"/experiments/{made.id}"
    return made


@router.post(
    "/rerun-best",
    status_code=202,
    summary="Measure what a search has chosen, over new seeds",
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

    The best of many configurations looks better than it is on the seeds that chose it, so these are refused. 409 if the
    experiment has no search or has not ended, and if an arm has no result to choose from.
    """
    made = rerunning.rerun_best(context, experiment_id, wanted, idempotency_key)
    response.headers["Location"] = f"/experiments/{made.id}"
    return made


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
        Query(description="'everything': its files, its rows and its MLflow experiment; 'checkpoints': only these."),
    ] = "everything",
) -> Response:
    """Delete the experiment, which takes a moment.

    409 until it has ended, and while another experiment starts from its checkpoints. In MLflow it goes into
    the trash, and can be restored until the trash is emptied.
    """
    intents.remove(context, experiment_id, Cleanup(what))
    return Response(status_code=202)


@router.post(
    "/verify", status_code=202, summary="Replay a stage", responses=MADE | problem_responses(400, 404, 409, 413, 422)
)
def verify(
    context: InContext, experiment_id: ExperimentId, wanted: VerificationRequest, response: Response
) -> VerificationView:
    """Train or analyse a stage again, from where it started, and compare every number and every bit.

    It takes as long as the stage took. `Location` is the address of the answer.
    """
    made = verifying.verify(context, experiment_id, wanted.chain, wanted.stage)
    response.headers["Location"] = f"/experiments/{experiment_id}/verifications/{made.number}"
    return made


@router.get("/verifications", summary="List replays", responses=problem_responses(404, 422))
def verifications(
    context: InContext,
    experiment_id: ExperimentId,
    cursor: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next_cursor` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> VerificationPage:
    """List the replays of this experiment, oldest first."""
    return verifying.verification_page(context, experiment_id, after=cursor, limit=limit)


@router.get("/verifications/{number}", summary="Show a replay", responses=problem_responses(404, 422))
def verification(context: InContext, experiment_id: ExperimentId, number: Number) -> VerificationView:
    """Show a replay: `equal`, or `different` with the first difference, once it has ended."""
    return verifying.verification_view(context, experiment_id, number)

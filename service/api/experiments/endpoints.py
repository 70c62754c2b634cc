"""/experiments: post, validate, list, show, compare, report, draw figures, follow, read logs."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool

from service.answers.comparisons import ComparisonView
from service.answers.experiments import ExperimentPage, ExperimentView
from service.answers.reports import FigureFormat, ReportFormat
from service.answers.validation import ValidatedSpec
from service.api.context import InContext
from service.api.experiments import comparing, logs, reporting, stream, submitting, views
from service.api.experiments.bodies import PostedSpec, PresetName
from service.api.experiments.parameters import ArmName, ChainCursor, Cursor, ExperimentId, Key, QuantityName
from service.api.openapi import MADE, TAKES_SPEC, problem_responses
from service.figures.catalogue_of_figures import FigureName
from service.results.quantities import DEFAULT
from service.states import ExperimentState
from service.text import LINE_PATTERN, without_hidden

router = APIRouter(prefix="/experiments", tags=["experiments"])

# The forms of a report besides JSON.
REPORT_TYPES = ("text/html", "text/markdown", "text/csv", "application/x-tex")
# The largest event id: databases store 64 bits.
MAX_EVENT_ID = 2**63 - 1


@router.post(
    "",
    status_code=202,
    summary="Post an experiment",
    openapi_extra=TAKES_SPEC,
    responses=MADE | problem_responses(400, 404, 409, 413, 415, 422),
)
def post(
    context: InContext, spec: PostedSpec, response: Response, preset: PresetName = None, idempotency_key: Key = None
) -> ExperimentView:
    """Store the experiment and queue it; `Location` is its address."""
    created = submitting.submit(context, spec, idempotency_key, preset)
    response.headers["Location"] = f"/experiments/{created.id}"
    return created


@router.post(
    "/validate",
    summary="Check a spec without running it",
    response_model=ValidatedSpec,
    openapi_extra=TAKES_SPEC,
    responses=problem_responses(400, 404, 413, 415, 422),
)
def validate(context: InContext, spec: PostedSpec) -> Response:
    """Check a spec as a post does, and return its number of trials and whether they fit. Nothing is stored."""
    # The JSON is written here, in a thread: FastAPI would write it in the event loop, and it may have megabytes.
    text = submitting.validate(context, spec).model_dump_json(by_alias=True)
    return Response(text, media_type="application/json")


@router.get("", summary="List experiments", responses=problem_responses(422))
def experiments(
    context: InContext,
    state: Annotated[ExperimentState | None, Query(description="Only experiments in this state.")] = None,
    name: Annotated[
        str | None,
        Query(
            max_length=80,
            description="Only experiments whose name contains this text; upper and lower case are equal.",
            json_schema_extra={"pattern": LINE_PATTERN},
        ),
        AfterValidator(lambda text: text if text is None else without_hidden(text)),
    ] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ExperimentPage:
    """List the experiments, newest first."""
    return views.experiment_page(context, limit=limit, cursor=cursor, state=state, name=name)


@router.get("/{experiment_id}", summary="Show an experiment", responses=problem_responses(404, 422))
def experiment(
    context: InContext,
    experiment_id: ExperimentId,
    cursor: ChainCursor = -1,
    limit: Annotated[int, Query(ge=1, le=views.MAX_CHAINS_EMBEDDED)] = views.MAX_CHAINS_EMBEDDED,
) -> ExperimentView:
    """Show the experiment's state, its progress, and each chain's stages with their newest committed epoch."""
    return views.experiment_view(context, experiment_id, after=cursor, limit=limit)


@router.get(
    "/{experiment_id}/comparison", summary="Compare an experiment's arms", responses=problem_responses(404, 422)
)
def compare(
    context: InContext, experiment_id: ExperimentId, quantity: QuantityName = DEFAULT.name, baseline: ArmName = None
) -> ComparisonView:
    """Compare the arms of each pair, seed by seed, over the chains that have succeeded so far.

    Without `compare` in the spec, every arm is compared with the baseline. In a search, each arm is shown at its best
    configuration by val/accuracy. A quantity of a time sweep, such as `time_sweep/accuracy`, has a value at each T:
    then `by_T` has the arms at each T, and `arms` is empty.
    """
    return comparing.comparison_view(context, experiment_id, quantity, baseline)


@router.get(
    "/{experiment_id}/report",
    summary="Get the report of an experiment",
    response_class=Response,
    responses={
        200: {
            "description": "The report as it is now.",
            "content": {media_type: {"schema": {"type": "string"}} for media_type in REPORT_TYPES}
            | {"application/json": {"schema": {"$ref": "#/components/schemas/ReportView"}}},
        },
        **problem_responses(404, 422),
    },
)
async def report(
    context: InContext,
    experiment_id: ExperimentId,
    form: Annotated[ReportFormat, Query(alias="format", description="The form of the report.")] = ReportFormat.HTML,
) -> Response:
    """Report the question, the answer, the tables and figures, and what a reader needs to believe and to repeat them.

    The HTML is one file without scripts and outside resources.
    """
    async with context.reports.turn():
        return await run_in_threadpool(reporting.report_response, context, experiment_id, form)


@router.get(
    "/{experiment_id}/figures/{figure}",
    summary="Get a figure of an experiment",
    response_class=Response,
    responses={
        200: {
            "description": "The figure as it is now.",
            "content": {media_type: {"schema": {"type": "string"}} for media_type in ("image/svg+xml", "image/png")},
        },
        **problem_responses(404, 422),
    },
)
async def figure(
    context: InContext,
    experiment_id: ExperimentId,
    figure: Annotated[FigureName, Path(description="The figure; the report lists those that there are.")],
    form: Annotated[FigureFormat, Query(alias="format", description="The form of the figure.")] = FigureFormat.SVG,
) -> Response:
    """Draw one figure across the arms of an experiment."""
    async with context.reports.turn():
        return await run_in_threadpool(reporting.figure_response, context, experiment_id, figure, form)


@router.get(
    "/{experiment_id}/events",
    summary="Follow an experiment",
    response_class=EventSourceResponse,
    responses={
        200: {"description": "Events as they happen, until the experiment ends.", "content": {"text/event-stream": {}}},
        204: {"description": "The experiment has ended, and all of its events were sent: do not reconnect."},
        **problem_responses(404, 422),
    },
)
async def events(
    context: InContext,
    experiment_id: ExperimentId,
    last_event_id: Annotated[
        int, Header(alias="Last-Event-ID", ge=0, le=MAX_EVENT_ID, description="Send only events after this one.")
    ] = 0,
) -> Response:
    """Stream server-sent events, oldest first: `experiment`, `chain`, `stage` and others, each with all its facts.

    An hour after the end of an experiment, only the last epoch of each stage is left of those about epochs.
    """
    now = await run_in_threadpool(stream.position, context.database, experiment_id)
    if now.ended and now.newest <= last_event_id:
        return Response(status_code=204)
    return stream.EventStream(context.feeds, context.database, experiment_id, last_event_id, now)


@router.get(
    "/{experiment_id}/logs",
    summary="Read a log",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The log as it is now.",
            "content": {"text/plain": {}},
            "headers": {
                "X-Next-Cursor": {"description": "The cursor for the bytes that follow.", "schema": {"type": "string"}},
            },
        },
        **problem_responses(404, 422),
    },
)
def log(
    context: InContext,
    experiment_id: ExperimentId,
    chain: Annotated[
        str | None,
        Query(pattern="^[0-9a-f]{1,32}$", description="The chain whose log is read; without it, the driver's log."),
    ] = None,
    stage: Annotated[
        int | None,
        Query(ge=0, le=99, description="The stage whose log is read; without it, the last one that has started."),
    ] = None,
    tail: Annotated[int | None, Query(ge=0, le=100_000, description="Only this many lines from the end.")] = None,
    cursor: Annotated[
        str | None,
        Query(
            pattern=logs.CURSOR_PATTERN,
            description="`X-Next-Cursor` of the previous answer; `0.1.0` starts with the first log.",
        ),
    ] = None,
) -> StreamingResponse:
    """Read the newest log of the driver, or of a chain's stage; with a cursor, all logs from the oldest to the newest.

    Send the cursor of the last answer to get the bytes that were written after it. With a cursor, `tail` is ignored.
    """
    files = logs.find_logs(context, experiment_id, chain, stage)
    part = logs.newest_slice(files, tail) if cursor is None else logs.slice_after(files, logs.Cursor.from_text(cursor))
    headers = {"X-Next-Cursor": str(part.next)}
    return StreamingResponse(part.read(), media_type="text/plain; charset=utf-8", headers=headers)

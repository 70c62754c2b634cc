"""Reading the drivers' event files into the database, from a stored offset, each line once.

Offset and effect change in one transaction, so a crash between two lines repeats nothing and loses nothing.
"""

import logging
from datetime import datetime
from pathlib import Path
from typing import assert_never

from pydantic import ValidationError

from service.curves import from_text
from service.events import (
    EVENT,
    AnyEvent,
    ChainChanged,
    ChainConfigured,
    DriverStarted,
    MlflowExperimentFound,
    OutboxChanged,
    Outcome,
    PairResampled,
    RunFound,
    StageChanged,
    StageCurved,
    utc_now,
)
from service.reasons import NO_REASON, Reason, ReasonKind, cancelled, failed, waits_for_mlflow
from service.resampled_pairs import ResampledPair
from service.states import RESTING, TERMINAL, WORK_TRANSITIONS, ExperimentState, Wanted, WorkState
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.repository import Repository
from service.store.tables import ExperimentRow

log = logging.getLogger(__name__)

# Bytes that one transaction reads (a longer line is read whole), so that a long file does not block other writers.
CHUNK_BYTES = 262_144
# Events that count from drivers of all generations; all others count only from drivers of the current one.
_TIMELESS = (RunFound, MlflowExperimentFound)


def ingest(database: Database, folder: ExperimentFolder) -> None:
    """Read all events that the experiment's drivers have written since the last call, and store their effects."""
    for attempt in folder.driver_numbers():
        while _ingest_chunk(database, folder, attempt):
            pass


def _ingest_chunk(database: Database, folder: ExperimentFolder, attempt: int) -> bool:
    experiment_id = folder.experiment_id
    with database.reading() as repository:
        before = repository.event_offsets.get(experiment_id, attempt)
    lines, after = read_lines(folder.events(attempt), before)
    if not lines:
        return False
    with database.session() as repository:
        if not repository.event_offsets.move(experiment_id, attempt, before, after):
            return False
        row = repository.experiments.get(experiment_id, lock=True)
        for line in lines:
            event = _parse(line, experiment_id, attempt)
            if event is not None and (attempt >= row.first_driver or isinstance(event, _TIMELESS)):
                _apply(repository, row, event, attempt)
    return True


def read_lines(file: Path, offset: int) -> tuple[list[bytes], int]:
    """Return the complete lines from `offset` on, and the offset after them; leave out a line without an end."""
    try:
        with file.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(CHUNK_BYTES)
            if data and b"\n" not in data:
                data += stream.readline()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    return data[:end].splitlines(), offset + end


def _parse(line: bytes, experiment_id: str, attempt: int) -> AnyEvent | None:
    """Return the line's event; None if the line cannot be read.

    Such a line is skipped: later events state the facts in full again, and after a driver whose outcome was lost, the
    next driver writes the outcome again. Stopping here would stop the experiment forever.
    """
    try:
        return EVENT.validate_json(line)
    except ValidationError as error:
        log.error(
            "driver %d of experiment %s wrote a line that cannot be read, %r: %s",
            attempt,
            experiment_id,
            line[:200],
            error,
        )
        return None


def _apply(repository: Repository, row: ExperimentRow, event: AnyEvent, attempt: int) -> None:
    if isinstance(event, Outcome) and event.state is ExperimentState.CANCELLED and attempt < row.driver_attempt:
        return  # from a driver that was stopped earlier: the newest driver may still run
    if isinstance(event, StageChanged | ChainChanged):
        event = event.model_copy(update={"state": _state_now(row, event.state)})
    if _store_effect(repository, row, event):
        repository.events.add(row.id, event)


def _store_effect(repository: Repository, row: ExperimentRow, event: AnyEvent) -> bool:
    """Store the effect of an event; return whether the event is added to the stream that clients follow."""
    match event:
        case StageChanged() | ChainChanged() | Outcome() if _was_stopped_unasked(row, event):
            # Something else stopped the driver, for example the draining of its node: the next driver continues.
            return False
        case StageChanged():
            return _apply_stage(repository, row, event)
        case ChainChanged():
            return _apply_chain(repository, row, event)
        case ChainConfigured():
            return _apply_configuration(repository, row, event)
        case Outcome():
            return _apply_outcome(repository, row, event)
        case RunFound():
            _apply_run(repository, row.id, event)
        case MlflowExperimentFound():
            row.mlflow_experiment_id = event.mlflow_experiment_id
            row.mlflow_view = event.view or row.mlflow_view
        case OutboxChanged():
            _apply_outbox(row, event)
        case StageCurved():
            _apply_curves(repository, row.id, event)
            return False
        case PairResampled():
            repository.resampled.put(
                row.id, ResampledPair(event.arm, event.to, tuple(event.seeds), event.result, event.error)
            )
            return False
        case DriverStarted():
            pass
        case _:
            assert_never(event)
    return True


def _was_stopped_unasked(row: ExperimentRow, event: StageChanged | ChainChanged | Outcome) -> bool:
    is_cancelled = event.state in (WorkState.CANCELLED, ExperimentState.CANCELLED)
    return is_cancelled and row.wanted is not Wanted.CANCEL


def _apply_outcome(repository: Repository, row: ExperimentRow, event: Outcome) -> bool:
    if row.state in TERMINAL:
        return False
    before = ExperimentState(row.state)
    failure = None if event.failure is None else event.failure.as_json()
    repository.transitions.advance(
        row.id, before, event.state, reason=_reason(event), failure=failure, finished_at=_ended_at(row, event)
    )
    if event.state is not ExperimentState.SUCCEEDED:
        repository.work.end_unfinished(row.id, WorkState.CANCELLED)
    return True


def _ended_at(row: ExperimentRow, event: Outcome) -> datetime:
    """Return the time of an outcome, as its driver's report states it; clocks of nodes may differ."""
    return min(max(event.at, row.started_at or event.at), utc_now())


def _reason(event: Outcome) -> Reason:
    match event.state:
        case ExperimentState.SUCCEEDED:
            return NO_REASON
        case ExperimentState.FAILED:
            return failed(event.reason)
        case ExperimentState.CANCELLED:
            return cancelled(event.reason)
        case _:
            assert_never(event.state)


def _apply_outbox(row: ExperimentRow, event: OutboxChanged) -> None:
    if row.state in TERMINAL:
        return
    if event.error:
        row.set_reason(waits_for_mlflow(event.pending, event.error))
    elif row.reason_kind is ReasonKind.WAITS_FOR_MLFLOW:
        row.set_reason(NO_REASON)


def _apply_chain(repository: Repository, row: ExperimentRow, event: ChainChanged) -> bool:
    chain = repository.work.chain(row.id, event.chain)
    if chain is None or not _may_become(chain.state, event.state):
        return False
    chain.state = event.state
    chain.reason = event.reason
    return True


def _apply_configuration(repository: Repository, row: ExperimentRow, event: ChainConfigured) -> bool:
    chain = repository.work.chain(row.id, event.chain)
    if chain is None or chain.hyperparameters == event.hyperparameters:
        return False
    chain.hyperparameters = event.hyperparameters
    for index, values in enumerate(event.stages):
        stage = repository.work.stage(row.id, event.chain, index)
        if stage is not None:
            stage.T, stage.epochs = values["T"], values["epochs"] or stage.epochs
    return True


def _apply_stage(repository: Repository, experiment: ExperimentRow, event: StageChanged) -> bool:
    row = repository.work.stage(experiment.id, event.chain, event.stage)
    # Events of a superseded driver may come late: ended stages stay ended, and epochs only grow.
    if row is None or not _may_become(row.state, event.state) or event.epoch < row.epoch:
        return False
    row.state = event.state
    row.epoch = event.epoch
    row.metrics = dict(event.metrics)
    row.train_time_s = event.train_time_s
    row.initial_sha256 = event.initial_sha256
    row.weights_sha256 = event.weights_sha256
    row.attempts = max(row.attempts, event.attempts)
    row.failure = None if event.failure is None else event.failure.as_json()
    if event.test_set is not None:  # a late event of an earlier version has none
        row.test_set = event.test_set.model_dump()
    if event.state in (WorkState.SUCCEEDED, WorkState.STOPPED):
        experiment.stages_done = repository.work.count_done_stages(experiment.id)
    return True


def _apply_curves(repository: Repository, experiment_id: str, event: StageCurved) -> None:
    if repository.work.stage(experiment_id, event.chain, event.stage) is None:
        return
    try:
        packed = None if event.curves is None else from_text(event.curves)
    except ValueError as error:
        packed, event = None, event.model_copy(update={"error": f"{type(error).__name__}: {error}"})
    repository.curves.put(experiment_id, event.chain, event.stage, packed, event.error)


def _apply_run(repository: Repository, experiment_id: str, event: RunFound) -> None:
    row = (
        repository.work.chain(experiment_id, event.chain)
        if event.stage is None
        else repository.work.stage(experiment_id, event.chain, event.stage)
    )
    if row is not None:
        row.mlflow_run_id = event.run_id


def _state_now(experiment: ExperimentRow, state: WorkState) -> WorkState:
    """Return the state to store: in a queued or paused experiment nothing runs any more."""
    return WorkState.WAITING if experiment.state in RESTING and state is WorkState.RUNNING else state


def _may_become(state: str, after: WorkState) -> bool:
    return after in WORK_TRANSITIONS[WorkState(state)]

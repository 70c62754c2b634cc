"""Takes the drivers' event files into the database, from a stored offset, each line once.

Offset and effect change in one transaction, so a crash between two lines repeats nothing and loses nothing.
"""

from pathlib import Path

from service.events import (
    EVENT,
    AnyEvent,
    ChainChanged,
    DriverStarted,
    MlflowExperimentFound,
    OutboxChanged,
    Outcome,
    RunFound,
    StageChanged,
)
from service.states import TERMINAL, WORK_TRANSITIONS, ExperimentState, WorkState
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.repository import Repository

# Lines are taken in transactions of about this size, so that a long file does not block other writers.
CHUNK_BYTES = 262_144


def ingest(database: Database, folder: ExperimentFolder) -> None:
    """Take in all that the experiment's drivers have said since the last time."""
    for attempt in folder.driver_numbers():
        while _ingest_chunk(database, folder, attempt):
            pass


def _ingest_chunk(database: Database, folder: ExperimentFolder, attempt: int) -> bool:
    experiment_id = folder.experiment_id
    with database.reading() as repository:
        before = repository.event_offset(experiment_id, attempt)
    lines, after = read_lines(folder.events(attempt), before)
    if not lines:
        return False
    with database.session() as repository:
        if not repository.move_event_offset(experiment_id, attempt, before, after):
            return False
        for line in lines:
            _apply(repository, experiment_id, EVENT.validate_json(line))
    return True


def read_lines(file: Path, offset: int) -> tuple[list[bytes], int]:
    """Whole lines from `offset` on, and the offset behind them; a line still being written is left for later."""
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


def _apply(repository: Repository, experiment_id: str, event: AnyEvent) -> None:
    changed = True
    match event:
        case StageChanged():
            changed = _apply_stage(repository, experiment_id, event)
        case ChainChanged():
            chain = repository.chain(experiment_id, event.chain)
            changed = chain is not None and _may_become(chain.state, event.state)
            if chain is not None and changed:
                chain.state = event.state
        case RunFound():
            _apply_run(repository, experiment_id, event)
        case MlflowExperimentFound():
            repository.experiment(experiment_id).mlflow_experiment_id = event.mlflow_experiment_id
        case OutboxChanged():
            row = repository.experiment(experiment_id)
            if row.state not in TERMINAL:
                row.reason = f"{event.pending} points wait for MLflow: {event.error}" if event.error else ""
        case Outcome():
            row = repository.experiment(experiment_id)
            if row.state not in TERMINAL:
                repository.advance(
                    experiment_id, ExperimentState(row.state), ExperimentState(event.state), reason=event.reason
                )
                if event.state != "succeeded":
                    repository.end_unfinished(experiment_id, WorkState.CANCELLED)
        case DriverStarted():
            pass
    if changed:
        data = event.model_dump(mode="json", exclude={"at", "type"})
        repository.add_event(experiment_id, event.type, data, event.at)


def _apply_stage(repository: Repository, experiment_id: str, event: StageChanged) -> bool:
    row = repository.stage(experiment_id, event.chain, event.stage)
    # A zombie driver may speak late: what is ended stays, and epochs only grow.
    if row is None or not _may_become(row.state, event.state) or event.epoch < row.epoch:
        return False
    row.state = event.state
    row.epoch = event.epoch
    row.metrics = dict(event.metrics)
    row.train_time_s = event.train_time_s
    row.initial_sha256 = event.initial_sha256
    row.weights_sha256 = event.weights_sha256
    row.attempts = max(row.attempts, event.attempts)
    row.failure = event.failure
    if event.state is WorkState.SUCCEEDED:
        experiment = repository.experiment(experiment_id)
        experiment.stages_done = repository.count_done_stages(experiment_id)
    return True


def _apply_run(repository: Repository, experiment_id: str, event: RunFound) -> None:
    row = (
        repository.chain(experiment_id, event.chain)
        if event.stage is None
        else repository.stage(experiment_id, event.chain, event.stage)
    )
    if row is not None:
        row.mlflow_run_id = event.run_id


def _may_become(state: str, after: WorkState) -> bool:
    return after in WORK_TRANSITIONS[WorkState(state)]

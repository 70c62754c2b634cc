"""A database with experiments in every state, and their ids and names for requests."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import object_session

from service.events import ExperimentChanged, utc_now
from service.failures import Failure, FailureType
from service.plan import chain_id, plan
from service.reasons import Reason, asked_to_stop, waits_for_mlflow, waits_for_node
from service.settings import Settings
from service.spec import parse
from service.states import TERMINAL, Cleanup, ExperimentState, VerificationState, Wanted, WorkState
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.repository import Repository
from service.store.tables import ChainRow, ExperimentRow, LineageRow, OutcomeRow, StageRow, VerificationRow
from tests.unit.service.spec.test_spec import spec

E = ExperimentState


def _reason(reason: Reason) -> dict[str, Any]:
    return {"reason_kind": reason.kind, "reason": reason.words}


# A search over one arm alone, so that the chains of the other arms have the same ids in every experiment.
SEARCH = {"method": "grid", "space": {"arms.TET.loss.lamb": {"choice": [0.05, 0.2]}}}
# The columns of each experiment's row; `search` is a part of its spec.
KINDS: tuple[dict[str, Any], ...] = (
    *({"state": state} for state in E for _ in range(2)),
    {"state": E.QUEUED, **_reason(waits_for_node("a trial needs 1 CPU(s)")), "priority": 7},
    {"state": E.RUNNING, "wanted": Wanted.CANCEL, **_reason(asked_to_stop())},
    {"state": E.RUNNING, **_reason(waits_for_mlflow(3, "ConnectError")), "mlflow_experiment_id": "7"},
    {"state": E.RUNNING, "wanted": Wanted.PAUSE},
    {"state": E.PAUSED, "hold": "the storage is full"},
    {"state": E.SUCCEEDED, "cleanup": Cleanup.BEST, "delete_at": utc_now() + timedelta(days=365)},
    {"state": E.SUCCEEDED, "checkpoints_removed_at": utc_now(), "preset": "table1-cifar100-mini"},
    {"state": E.FAILED, "generation": 3, "notify_tries": 2, "notify_error": "it answered 500"},
    {"state": E.CANCELLED, "cleanup": Cleanup.CHECKPOINTS},
    *({"state": state, "search": SEARCH} for state in (E.QUEUED, E.SUCCEEDED, E.SUCCEEDED, E.FAILED)),
)
# How many experiments may be deleted.
NUM_DOOMED = 60
TABLES = (ExperimentRow, ChainRow, StageRow)


@dataclass(frozen=True)
class Names:
    """The ids and names that a client may know.

    `ended` has the experiments whose streams of events end; `searched` has those with a search.
    """

    experiments: list[str]
    ended: list[str]
    searched: list[str]
    # Experiments that may be deleted; the other experiments are restored from time to time.
    doomed: list[str]
    chains: list[str]
    verifications: list[int]


class Stock:
    """The experiments, which can be restored to their first state."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Fill an empty database."""
        self._database, self._settings = database, settings
        experiments = [self._make(kind) for kind in KINDS]
        doomed = [self._make({"state": state}) for state in sorted(TERMINAL) for _ in range(NUM_DOOMED // 3)]
        ended = [experiment for experiment, kind in zip(experiments, KINDS, strict=True) if kind["state"] in TERMINAL]
        searched = [experiment for experiment, kind in zip(experiments, KINDS, strict=True) if "search" in kind]
        chains = [chain_id(arm, seed, {}) for arm in ("SDT", "TIT") for seed in (0, 1)]
        self.names = Names(experiments, ended, searched, doomed, chains, verifications=[1, 2, 3])
        self._saved = {table: self._rows(table) for table in TABLES}

    def restore(self) -> None:
        """Restore all experiments that may not be deleted."""
        with self._database.engine.begin() as connection:
            connection.execute(delete(LineageRow))
            for table, rows in self._saved.items():
                keys = [column.name for column in table.__table__.primary_key]
                for row in rows:
                    same = [getattr(table, key) == row[key] for key in keys]
                    connection.execute(update(table).where(*same).values(**row))
            for row in self._saved[ExperimentRow]:
                newer = OutcomeRow.experiment_id == row["id"], OutcomeRow.generation >= row["generation"]
                connection.execute(delete(OutcomeRow).where(*newer))

    def _rows(self, table: type[Any]) -> list[dict[str, Any]]:
        column = table.id if table is ExperimentRow else table.experiment_id
        with self._database.engine.connect() as connection:
            query = select(table.__table__).where(column.in_(self.names.experiments))
            return [dict(row._mapping) for row in connection.execute(query)]

    def _make(self, kind: dict[str, Any]) -> str:
        with_search = {"validation": 0.1, "search": kind["search"]} if "search" in kind else {}
        parsed = parse(spec(seeds=[0, 1], **with_search))
        with self._database.session() as repository:
            row = repository.experiments.create(parsed, plan(parsed))
            _fill(repository, row, {key: value for key, value in kind.items() if key != "search"})
            experiment_id = row.id
        self._write_logs(experiment_id)
        return experiment_id

    def _write_logs(self, experiment_id: str) -> None:
        folder = ExperimentFolder(self._settings.storage, experiment_id)
        stage = folder.stage(chain_id("SDT", 0, {}), 0)
        for log in (folder.driver_log(1), stage.trial_log(1)):
            log.parent.mkdir(parents=True)
            log.write_text("".join(f"line {number} – says something\n" for number in range(100)))


def _fill(repository: Repository, row: ExperimentRow, kind: dict[str, Any]) -> None:
    """Give a new experiment the columns of a kind, and matching rows in the other tables."""
    for key, value in kind.items():
        setattr(row, key, value)
    state, now, session = E(row.state), utc_now(), object_session(row)
    assert session is not None
    if state is not E.QUEUED:
        row.driver_attempt, row.started_at = 1, now
    for generation in range(1, row.generation or 1):
        session.add(
            OutcomeRow(
                experiment_id=row.id,
                generation=generation,
                state="failed",
                reason="a chain failed",
                finished_at=now,
            )
        )
    if state in TERMINAL:
        row.finished_at = now
        repository.events.add(row.id, ExperimentChanged(state=state, reason=""))
    _fill_work(repository, row.id, state)
    states = (VerificationState.EQUAL, VerificationState.RUNNING, VerificationState.FAILED)
    session.execute(insert(VerificationRow), [_verification(row.id, *each) for each in enumerate(states)])
    row.stages_done = repository.work.count_done_stages(row.id)


def _fill_work(repository: Repository, experiment_id: str, state: ExperimentState) -> None:
    work = {
        E.SUCCEEDED: WorkState.SUCCEEDED,
        E.FAILED: WorkState.FAILED,
        E.CANCELLED: WorkState.CANCELLED,
        E.RUNNING: WorkState.RUNNING,
        E.PAUSING: WorkState.RUNNING,
    }.get(state, WorkState.WAITING)
    for chain in repository.work.chains(experiment_id):
        chain.state = work
        for stage in chain.stages:
            stage.state, stage.attempts = work, 1
            if state is not E.QUEUED:
                stage.epoch = stage.epochs
                stage.metrics = {"test/accuracy": 0.5 + 0.1 * chain.seed, "test/loss": 1.0}
                if chain.hyperparameters:
                    stage.metrics |= {"val/accuracy": chain.hyperparameters["arms.TET.loss.lamb"]}
                stage.weights_sha256 = stage.initial_sha256 = f"{chain.seed:064x}"
            if work is WorkState.FAILED:
                stage.failure = Failure.of(FailureType.OUT_OF_MEMORY, "too large", kind="OutOfMemoryError").as_json()


def _verification(experiment_id: str, index: int, state: VerificationState) -> dict[str, Any]:
    result = {"epochs": 20, "first_difference": None} if state is VerificationState.EQUAL else None
    return {
        "experiment_id": experiment_id,
        "number": index + 1,
        "chain_id": chain_id("TIT", 0, {}),
        "stage": 0,
        "state": state,
        "created_at": utc_now(),
        "result": result,
    }


def write_names(names: Names, file: Path) -> None:
    """Write the names to a file for the hooks, which run in another process."""
    file.write_text(json.dumps(vars(names)))

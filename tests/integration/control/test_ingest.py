"""Tests of reading event files: each line is read once, even if a reader is killed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from service.control import ingest as module
from service.control.ingest import ingest
from service.events import (
    EVENT,
    AnyEvent,
    ChainChanged,
    MlflowExperimentFound,
    OutboxChanged,
    Outcome,
    RunFound,
    StageChanged,
    utc_now,
)
from service.reasons import NO_REASON, Reason, ReasonKind, waits_for_mlflow
from service.states import ExperimentState, WorkState
from service.store.tables import ChainRow, StageRow
from tests.integration.control.conftest import Desk


@pytest.fixture
def experiment(desk: Desk) -> str:
    found = desk.post()
    desk.run(found)
    return found


def chain_of(desk: Desk, experiment: str) -> ChainRow:
    with desk.database.reading() as repository:
        return repository.work.chains(experiment)[0]


def stage_of(desk: Desk, experiment: str) -> StageRow:
    return chain_of(desk, experiment).stages[0]


def read_events(desk: Desk, experiment: str) -> int:
    """Read new events; return how many events the stream then has."""
    ingest(desk.database, desk.folder(experiment))
    with desk.database.reading() as repository:
        return len(repository.events.list_after(experiment))


def stage(desk: Desk, experiment: str, **changes: Any) -> StageChanged:
    values = {"chain": chain_of(desk, experiment).id, "stage": 0, "state": WorkState.RUNNING, "epoch": 1, **changes}
    return StageChanged.model_validate(values)


def test_each_line_is_read_once(desk: Desk, experiment: str) -> None:
    before = read_events(desk, experiment)
    desk.say(experiment, stage(desk, experiment, epoch=1, metrics={"test/accuracy": 0.5}))
    assert read_events(desk, experiment) == before + 1
    assert read_events(desk, experiment) == before + 1
    desk.say(experiment, stage(desk, experiment, epoch=2))
    assert read_events(desk, experiment) == before + 2
    assert stage_of(desk, experiment).epoch == 2


def test_a_line_that_is_still_being_written_is_read_later(desk: Desk, experiment: str) -> None:
    line = stage(desk, experiment, epoch=4).model_dump_json()
    desk.folder(experiment).driver(1).mkdir(parents=True)
    with desk.folder(experiment).events(1).open("a") as file:
        file.write(line[:40])
    before = read_events(desk, experiment)
    assert stage_of(desk, experiment).epoch == 0
    with desk.folder(experiment).events(1).open("a") as file:
        file.write(line[40:] + "\n")
    assert read_events(desk, experiment) == before + 1
    assert stage_of(desk, experiment).epoch == 4


class CrashAtTheSecond:
    """A parser that reads the first event and then raises, as if the process was killed."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def validate_json(self, line: bytes) -> AnyEvent:
        self.lines.append(line)
        if len(self.lines) == 2:
            raise KeyboardInterrupt
        return EVENT.validate_json(line)


def test_a_crash_between_lines_repeats_and_loses_nothing(
    desk: Desk, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_events(desk, experiment)
    desk.say(experiment, *(stage(desk, experiment, epoch=epoch) for epoch in (1, 2, 3)))
    monkeypatch.setattr(module, "EVENT", CrashAtTheSecond())
    with pytest.raises(KeyboardInterrupt):
        read_events(desk, experiment)
    monkeypatch.undo()
    assert stage_of(desk, experiment).epoch == 0
    assert read_events(desk, experiment) == before + 3
    assert stage_of(desk, experiment).epoch == 3


def test_late_events_of_an_older_driver_undo_nothing(desk: Desk, experiment: str) -> None:
    desk.say(experiment, stage(desk, experiment, epoch=9, state=WorkState.SUCCEEDED), attempt=2)
    read_events(desk, experiment)
    desk.say(experiment, stage(desk, experiment, epoch=5), stage(desk, experiment, epoch=12))
    read_events(desk, experiment)
    found = stage_of(desk, experiment)
    assert (found.state, found.epoch) == ("succeeded", 9)
    assert desk.row(experiment).stages_done == 1


def test_events_about_runs_chains_and_the_mlflow_experiment_are_stored(desk: Desk, experiment: str) -> None:
    chain = chain_of(desk, experiment).id
    desk.say(
        experiment,
        MlflowExperimentFound(mlflow_experiment_id="7", view="tet-arms"),
        RunFound(chain=chain, stage=None, run_id="parent"),
        RunFound(chain=chain, stage=0, run_id="child"),
        ChainChanged(chain=chain, state=WorkState.RUNNING),
    )
    read_events(desk, experiment)
    found = chain_of(desk, experiment)
    assert (found.mlflow_run_id, found.stages[0].mlflow_run_id, found.state) == ("parent", "child", "running")
    assert (desk.row(experiment).mlflow_experiment_id, desk.row(experiment).mlflow_view) == ("7", "tet-arms")


def test_points_that_wait_for_mlflow_are_the_reason(desk: Desk, experiment: str) -> None:
    desk.say(experiment, OutboxChanged(pending=12, error="refused"))
    read_events(desk, experiment)
    assert desk.row(experiment).current_reason() == waits_for_mlflow(12, "refused")
    assert desk.row(experiment).reason == "12 points wait for MLflow: refused"
    desk.say(experiment, OutboxChanged(pending=0))
    read_events(desk, experiment)
    assert desk.row(experiment).current_reason() == NO_REASON


def test_the_first_outcome_stays(desk: Desk, experiment: str) -> None:
    failure = {"type": "data", "class": "user", "message": "damaged"}
    failed = Outcome(state=ExperimentState.FAILED, reason="1 of 9 chains failed", failure=failure)
    desk.say(experiment, failed, Outcome(state=ExperimentState.SUCCEEDED))
    read_events(desk, experiment)
    assert desk.row(experiment).failure == failure
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("failed", "1 of 9 chains failed")
    assert stage_of(desk, experiment).state == "cancelled"


def test_an_experiment_ends_when_its_driver_says_that_it_has_ended(desk: Desk, experiment: str) -> None:
    outcome = Outcome(state=ExperimentState.SUCCEEDED)
    desk.say(experiment, outcome)
    read_events(desk, experiment)
    assert desk.row(experiment).finished_at == outcome.at


@pytest.mark.parametrize("is_late", [False, True])
def test_an_end_is_neither_before_the_start_nor_in_the_future(desk: Desk, experiment: str, is_late: bool) -> None:
    at = utc_now() + timedelta(days=1 if is_late else -1)
    desk.say(experiment, Outcome(state=ExperimentState.SUCCEEDED, at=at))
    read_events(desk, experiment)
    row = desk.row(experiment)
    assert row.started_at is not None
    assert row.finished_at is not None
    assert row.started_at <= row.finished_at <= utc_now()


def test_a_line_that_cannot_be_parsed_is_skipped(desk: Desk, experiment: str) -> None:
    before = read_events(desk, experiment)
    desk.say(experiment, stage(desk, experiment, epoch=1))
    with desk.folder(experiment).events(1).open("a") as file:
        file.write('{"type": "from the future"}\n\x00\x00\n')
    desk.say(experiment, stage(desk, experiment, epoch=2))
    assert read_events(desk, experiment) == before + 2
    assert stage_of(desk, experiment).epoch == 2


def test_a_file_of_many_chunks_is_read_to_its_end(desk: Desk, experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 300)  # some lines are longer
    before = read_events(desk, experiment)
    desk.say(experiment, *(stage(desk, experiment, epoch=epoch, metrics={"m" * epoch: 1.0}) for epoch in range(1, 40)))
    assert read_events(desk, experiment) == before + 39
    assert stage_of(desk, experiment).epoch == 39


def test_simultaneous_readers_store_each_line_once(desk: Desk, experiment: str) -> None:
    before = read_events(desk, experiment)
    desk.say(experiment, *(stage(desk, experiment, epoch=epoch) for epoch in range(1, 30)))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ingest(desk.database, desk.folder(experiment)), range(8)))
    assert read_events(desk, experiment) == before + 29


def test_a_cancelled_outcome_counts_only_if_a_user_cancelled_the_experiment(desk: Desk, experiment: str) -> None:
    events = [
        stage(desk, experiment, state=WorkState.CANCELLED),
        ChainChanged(chain=chain_of(desk, experiment).id, state=WorkState.CANCELLED),
        Outcome(state=ExperimentState.CANCELLED, reason="cancelled while it ran"),
    ]
    before = read_events(desk, experiment)
    desk.say(experiment, *events)
    assert read_events(desk, experiment) == before
    assert (desk.row(experiment).state, stage_of(desk, experiment).state) == ("running", "waiting")
    desk.cancel(experiment)
    desk.say(experiment, *events)
    read_events(desk, experiment)
    assert desk.row(experiment).state == "cancelled"
    assert desk.work_states(experiment) == {"cancelled"}


def test_outbox_events_do_not_replace_other_reasons(desk: Desk, experiment: str) -> None:
    with desk.database.session() as repository:
        repository.experiments.get(experiment).set_reason(Reason(ReasonKind.STOPPING, "9 points wait for MLflow: x"))
    desk.say(experiment, OutboxChanged(pending=0))
    read_events(desk, experiment)
    assert desk.row(experiment).current_reason() == Reason(ReasonKind.STOPPING, "9 points wait for MLflow: x")


def test_an_ended_experiment_ignores_a_second_outcome(desk: Desk, experiment: str) -> None:
    desk.say(experiment, Outcome(state=ExperimentState.SUCCEEDED))
    before = read_events(desk, experiment)
    desk.say(experiment, Outcome(state=ExperimentState.FAILED), OutboxChanged(pending=3, error="away"), attempt=2)
    assert read_events(desk, experiment) == before + 1  # the stream shows the outbox; the reason stays
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("succeeded", "")


def test_the_cancelled_outcome_of_an_older_driver_is_ignored_while_a_newer_one_runs(
    desk: Desk, experiment: str
) -> None:
    desk.run(experiment)
    with desk.database.session() as repository:
        repository.experiments.get(experiment).driver_attempt = 2
    desk.cancel(experiment)
    desk.say(experiment, Outcome(state=ExperimentState.CANCELLED), attempt=1)
    ingest(desk.database, desk.folder(experiment))
    assert desk.row(experiment).state == "running"
    desk.say(experiment, Outcome(state=ExperimentState.CANCELLED), attempt=2)
    ingest(desk.database, desk.folder(experiment))
    assert desk.row(experiment).state == "cancelled"


def test_the_counts_of_a_test_set_are_kept_even_if_a_late_event_lacks_them(desk: Desk, experiment: str) -> None:
    counts = {"num_samples": 355, "num_classes": 10, "num_majority": 37}
    desk.say(experiment, stage(desk, experiment, epoch=1, test_set=counts))
    desk.say(experiment, stage(desk, experiment, epoch=2))
    read_events(desk, experiment)
    assert (stage_of(desk, experiment).epoch, stage_of(desk, experiment).test_set) == (2, counts)

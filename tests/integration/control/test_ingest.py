"""Each line of an event file is taken in once, even if a reader is killed."""

from concurrent.futures import ThreadPoolExecutor
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


def take_in(desk: Desk, experiment: str) -> int:
    """Take in new events; return how many the stream then has."""
    ingest(desk.database, desk.folder(experiment))
    with desk.database.reading() as repository:
        return len(repository.events.after(experiment))


def stage(desk: Desk, experiment: str, **changes: Any) -> StageChanged:
    values = {"chain": chain_of(desk, experiment).id, "stage": 0, "state": WorkState.RUNNING, "epoch": 1, **changes}
    return StageChanged.model_validate(values)


def test_each_line_is_taken_in_once(desk: Desk, experiment: str) -> None:
    before = take_in(desk, experiment)
    desk.say(experiment, stage(desk, experiment, epoch=1, metrics={"test/accuracy": 0.5}))
    assert take_in(desk, experiment) == before + 1
    assert take_in(desk, experiment) == before + 1
    desk.say(experiment, stage(desk, experiment, epoch=2))
    assert take_in(desk, experiment) == before + 2
    assert stage_of(desk, experiment).epoch == 2


def test_a_line_still_being_written_is_left_for_later(desk: Desk, experiment: str) -> None:
    line = stage(desk, experiment, epoch=4).model_dump_json()
    desk.folder(experiment).driver(1).mkdir(parents=True)
    with desk.folder(experiment).events(1).open("a") as file:
        file.write(line[:40])
    before = take_in(desk, experiment)
    assert stage_of(desk, experiment).epoch == 0
    with desk.folder(experiment).events(1).open("a") as file:
        file.write(line[40:] + "\n")
    assert take_in(desk, experiment) == before + 1
    assert stage_of(desk, experiment).epoch == 4


class CrashAtTheSecond:
    """Reads the first event; the process is killed at the next one."""

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
    before = take_in(desk, experiment)
    desk.say(experiment, *(stage(desk, experiment, epoch=epoch) for epoch in (1, 2, 3)))
    monkeypatch.setattr(module, "EVENT", CrashAtTheSecond())
    with pytest.raises(KeyboardInterrupt):
        take_in(desk, experiment)
    monkeypatch.undo()
    assert stage_of(desk, experiment).epoch == 0
    assert take_in(desk, experiment) == before + 3
    assert stage_of(desk, experiment).epoch == 3


def test_a_driver_that_speaks_late_undoes_nothing(desk: Desk, experiment: str) -> None:
    desk.say(experiment, stage(desk, experiment, epoch=9, state=WorkState.SUCCEEDED), attempt=2)
    take_in(desk, experiment)
    desk.say(experiment, stage(desk, experiment, epoch=5), stage(desk, experiment, epoch=12))
    take_in(desk, experiment)
    found = stage_of(desk, experiment)
    assert (found.state, found.epoch) == ("succeeded", 9)
    assert desk.row(experiment).stages_done == 1


def test_runs_chains_and_the_mlflow_experiment_are_noted(desk: Desk, experiment: str) -> None:
    chain = chain_of(desk, experiment).id
    desk.say(
        experiment,
        MlflowExperimentFound(mlflow_experiment_id="7"),
        RunFound(chain=chain, stage=None, run_id="parent"),
        RunFound(chain=chain, stage=0, run_id="child"),
        ChainChanged(chain=chain, state=WorkState.RUNNING),
    )
    take_in(desk, experiment)
    found = chain_of(desk, experiment)
    assert (found.mlflow_run_id, found.stages[0].mlflow_run_id, found.state) == ("parent", "child", "running")
    assert desk.row(experiment).mlflow_experiment_id == "7"


def test_points_that_wait_for_mlflow_are_the_reason(desk: Desk, experiment: str) -> None:
    desk.say(experiment, OutboxChanged(pending=12, error="refused"))
    take_in(desk, experiment)
    assert desk.row(experiment).current_reason() == waits_for_mlflow(12, "refused")
    assert desk.row(experiment).reason == "12 points wait for MLflow: refused"
    desk.say(experiment, OutboxChanged(pending=0))
    take_in(desk, experiment)
    assert desk.row(experiment).current_reason() == NO_REASON


def test_the_first_outcome_stays(desk: Desk, experiment: str) -> None:
    failure = {"type": "data", "class": "user", "message": "damaged"}
    failed = Outcome(state=ExperimentState.FAILED, reason="1 of 9 chains failed", failure=failure)
    desk.say(experiment, failed, Outcome(state=ExperimentState.SUCCEEDED))
    take_in(desk, experiment)
    assert desk.row(experiment).failure == failure
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("failed", "1 of 9 chains failed")
    assert stage_of(desk, experiment).state == "cancelled"


def test_a_line_that_cannot_be_read_is_passed_over(desk: Desk, experiment: str) -> None:
    before = take_in(desk, experiment)
    desk.say(experiment, stage(desk, experiment, epoch=1))
    with desk.folder(experiment).events(1).open("a") as file:
        file.write('{"type": "from the future"}\n\x00\x00\n')
    desk.say(experiment, stage(desk, experiment, epoch=2))
    assert take_in(desk, experiment) == before + 2
    assert stage_of(desk, experiment).epoch == 2


def test_a_file_of_many_chunks_is_taken_in_whole(desk: Desk, experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 300)  # less than a line, at times
    before = take_in(desk, experiment)
    desk.say(experiment, *(stage(desk, experiment, epoch=epoch, metrics={"m" * epoch: 1.0}) for epoch in range(1, 40)))
    assert take_in(desk, experiment) == before + 39
    assert stage_of(desk, experiment).epoch == 39


def test_two_that_take_in_at_once_take_each_line_once(desk: Desk, experiment: str) -> None:
    before = take_in(desk, experiment)
    desk.say(experiment, *(stage(desk, experiment, epoch=epoch) for epoch in range(1, 30)))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ingest(desk.database, desk.folder(experiment)), range(8)))
    assert take_in(desk, experiment) == before + 29


def test_a_cancelled_driver_is_believed_only_where_cancelling_was_asked_for(desk: Desk, experiment: str) -> None:
    events = [
        stage(desk, experiment, state=WorkState.CANCELLED),
        ChainChanged(chain=chain_of(desk, experiment).id, state=WorkState.CANCELLED),
        Outcome(state=ExperimentState.CANCELLED, reason="cancelled while it ran"),
    ]
    before = take_in(desk, experiment)
    desk.say(experiment, *events)
    assert take_in(desk, experiment) == before
    assert (desk.row(experiment).state, stage_of(desk, experiment).state) == ("running", "waiting")
    desk.cancel(experiment)
    desk.say(experiment, *events)
    take_in(desk, experiment)
    assert desk.row(experiment).state == "cancelled"
    assert desk.work_states(experiment) == {"cancelled"}


def test_news_of_the_outbox_leave_other_reasons_alone(desk: Desk, experiment: str) -> None:
    with desk.database.session() as repository:
        repository.experiments.get(experiment).set_reason(Reason(ReasonKind.STOPPING, "9 points wait for MLflow: x"))
    desk.say(experiment, OutboxChanged(pending=0))
    take_in(desk, experiment)
    assert desk.row(experiment).current_reason() == Reason(ReasonKind.STOPPING, "9 points wait for MLflow: x")


def test_an_ended_experiment_is_told_of_no_second_outcome(desk: Desk, experiment: str) -> None:
    desk.say(experiment, Outcome(state=ExperimentState.SUCCEEDED))
    before = take_in(desk, experiment)
    desk.say(experiment, Outcome(state=ExperimentState.FAILED), OutboxChanged(pending=3, error="away"), attempt=2)
    assert take_in(desk, experiment) == before + 1  # the stream shows the outbox; the reason stays
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("succeeded", "")


def test_a_driver_that_was_stopped_earlier_ends_nothing_while_the_next_one_runs(desk: Desk, experiment: str) -> None:
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

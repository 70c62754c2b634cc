"""Event files are taken in once, line by line, whoever is killed."""

from typing import Any

import pytest

from service.control import ingest as module
from service.control.ingest import ingest
from service.events import ChainChanged, Event, MlflowExperimentFound, OutboxChanged, Outcome, RunFound, StageChanged
from service.states import WorkState
from service.store.tables import ChainRow, StageRow
from tests.integration.control.conftest import Desk


@pytest.fixture
def experiment(desk: Desk) -> str:
    found = desk.post()
    desk.run(found)
    return found


def chain_of(desk: Desk, experiment: str) -> ChainRow:
    with desk.database.reading() as repository:
        return repository.chains(experiment)[0]


def stage_of(desk: Desk, experiment: str) -> StageRow:
    return chain_of(desk, experiment).stages[0]


def say(desk: Desk, experiment: str, *events: Event, attempt: int = 1) -> None:
    folder = desk.folder(experiment)
    folder.driver(attempt).mkdir(parents=True, exist_ok=True)
    with folder.events(attempt).open("a") as file:
        file.writelines(event.model_dump_json() + "\n" for event in events)


def take_in(desk: Desk, experiment: str) -> int:
    """Takes in what is new; how many events the stream then has."""
    ingest(desk.database, desk.folder(experiment))
    with desk.database.reading() as repository:
        return len(repository.events(experiment))


def stage(desk: Desk, experiment: str, **changes: Any) -> StageChanged:
    values = {"chain": chain_of(desk, experiment).id, "stage": 0, "state": WorkState.RUNNING, "epoch": 1, **changes}
    return StageChanged.model_validate(values)


def test_each_line_is_taken_in_once(desk: Desk, experiment: str) -> None:
    before = take_in(desk, experiment)
    say(desk, experiment, stage(desk, experiment, epoch=1, metrics={"test/accuracy": 0.5}))
    assert take_in(desk, experiment) == before + 1
    assert take_in(desk, experiment) == before + 1
    say(desk, experiment, stage(desk, experiment, epoch=2))
    assert take_in(desk, experiment) == before + 2
    assert stage_of(desk, experiment).epoch == 2


def test_a_line_still_being_written_is_left_for_later(desk: Desk, experiment: str) -> None:
    line = stage(desk, experiment, epoch=4).model_dump_json()
    say(desk, experiment)
    with desk.folder(experiment).events(1).open("a") as file:
        file.write(line[:40])
    before = take_in(desk, experiment)
    assert stage_of(desk, experiment).epoch == 0
    with desk.folder(experiment).events(1).open("a") as file:
        file.write(line[40:] + "\n")
    assert take_in(desk, experiment) == before + 1
    assert stage_of(desk, experiment).epoch == 4


def test_a_crash_between_lines_repeats_and_loses_nothing(
    desk: Desk, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = take_in(desk, experiment)
    say(desk, experiment, *(stage(desk, experiment, epoch=epoch) for epoch in (1, 2, 3)))
    real, calls = module._apply, 0

    def crash_at_the_second(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(module, "_apply", crash_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        take_in(desk, experiment)
    monkeypatch.undo()
    assert stage_of(desk, experiment).epoch == 0
    assert take_in(desk, experiment) == before + 3
    assert stage_of(desk, experiment).epoch == 3


def test_a_driver_that_speaks_late_undoes_nothing(desk: Desk, experiment: str) -> None:
    say(desk, experiment, stage(desk, experiment, epoch=9, state=WorkState.SUCCEEDED), attempt=2)
    take_in(desk, experiment)
    say(desk, experiment, stage(desk, experiment, epoch=5), stage(desk, experiment, epoch=12))
    take_in(desk, experiment)
    found = stage_of(desk, experiment)
    assert (found.state, found.epoch) == ("succeeded", 9)
    assert desk.row(experiment).stages_done == 1


def test_runs_chains_and_the_mlflow_experiment_are_noted(desk: Desk, experiment: str) -> None:
    chain = chain_of(desk, experiment).id
    say(
        desk,
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
    say(desk, experiment, OutboxChanged(pending=12, error="refused"))
    take_in(desk, experiment)
    assert desk.row(experiment).reason == "12 points wait for MLflow: refused"
    say(desk, experiment, OutboxChanged(pending=0))
    take_in(desk, experiment)
    assert desk.row(experiment).reason == ""


def test_the_first_outcome_stays(desk: Desk, experiment: str) -> None:
    say(desk, experiment, Outcome(state="failed", reason="1 of 9 chains failed"), Outcome(state="succeeded"))
    take_in(desk, experiment)
    assert (desk.row(experiment).state, desk.row(experiment).reason) == ("failed", "1 of 9 chains failed")
    assert stage_of(desk, experiment).state == "cancelled"

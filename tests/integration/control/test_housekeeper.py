"""Tests of the housekeeper: it removes files and rows of ended experiments."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.control import housekeeper
from service.control.housekeeper import Housekeeper
from service.events import utc_now
from service.plan import plan
from service.reasons import NO_REASON
from service.settings import Settings
from service.spec import parse
from service.states import Cleanup, ExperimentState
from service.store.tables import ExperimentRow
from tests.integration.control.conftest import Desk
from tests.unit.service.runner.writing import METRICS
from tests.unit.service.spec.test_spec import spec


def ended(desk: Desk, state: ExperimentState = ExperimentState.SUCCEEDED, **changes: Any) -> str:
    parsed = parse(spec(**changes))
    with desk.database.session() as repository:
        experiment_id = repository.experiments.create(parsed, plan(parsed)).id
        repository.transitions.advance(experiment_id, ExperimentState.QUEUED, state, reason=NO_REASON)
    return experiment_id


def write_checkpoints(desk: Desk, experiment_id: str) -> Path:
    """Write a stage with two epochs: the first is the best, the second the last; return the experiment's folder."""
    stage = desk.folder(experiment_id).stage(desk.first_chain(experiment_id), 0)
    stage.attempt(1).mkdir(parents=True)
    stage.commits.mkdir()
    for epoch in (1, 2):
        name = f"attempts/0001/epoch-{epoch:06d}.pt"
        (stage.path / name).write_bytes(b"weights")
        commit = {"epoch": epoch, "checkpoint": name, "metrics": METRICS}
        (stage.commits / f"{epoch:06d}.json").write_text(json.dumps(commit))
    (stage.attempt(1) / "model.pt").write_bytes(b"weights")
    return desk.folder(experiment_id).path


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*.pt"))


def row(desk: Desk, experiment_id: str) -> ExperimentRow | None:
    with desk.database.session() as repository:
        return repository.upkeep.get_locked(experiment_id)


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("best_and_last", ["epoch-000001.pt", "epoch-000002.pt", "model.pt"]),
        ("last", ["epoch-000002.pt", "model.pt"]),
        ("none", []),
    ],
)
def test_checkpoints_are_kept_as_the_spec_says(desk: Desk, keep: str, left: list[str]) -> None:
    experiment = ended(desk, retention={"checkpoints": keep})
    folder = write_checkpoints(desk, experiment)
    for _ in range(2):
        Housekeeper(desk.database, desk.settings).round()
    assert files(folder) == left
    assert len(list(folder.rglob("commits/*.json"))) == 2
    found = row(desk, experiment)
    assert found is not None
    assert found.cleanup is None
    assert (found.checkpoints_removed_at is not None) == (keep == "none")


def test_an_expired_experiment_is_deleted_with_all_its_files(desk: Desk) -> None:
    experiment, young = (ended(desk, retention={"delete_after_days": 1}) for _ in range(2))
    folder = write_checkpoints(desk, experiment)
    with desk.database.session() as repository:
        repository.experiments.get(experiment).delete_at = utc_now() - timedelta(seconds=1)
    Housekeeper(desk.database, desk.settings).round()
    assert not folder.exists()
    assert list((desk.settings.storage / "trash").iterdir()) == []
    assert row(desk, experiment) is None
    assert row(desk, young) is not None


def test_an_interrupted_removal_is_finished_by_the_next_one(desk: Desk) -> None:
    experiment = ended(desk)
    folder = write_checkpoints(desk, experiment)
    with desk.database.session() as repository:
        repository.requests.remove(experiment, Cleanup.EVERYTHING)
    trash = desk.settings.storage / "trash" / experiment
    trash.parent.mkdir()
    folder.rename(trash)  # here the removal was interrupted
    folder.mkdir()  # then a process that should have ended wrote again
    Housekeeper(desk.database, desk.settings).round()
    assert not trash.exists()
    assert not folder.exists()
    assert row(desk, experiment) is None


def test_an_experiment_is_not_deleted_while_mlflow_does_not_answer(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = ended(desk)
    with desk.database.session() as repository:
        repository.experiments.get(experiment).mlflow_experiment_id = "7"
        repository.requests.remove(experiment, Cleanup.EVERYTHING)
    away = Settings.model_validate({**dict(desk.settings), "mlflow_url": "http://127.0.0.1:9"})
    Housekeeper(desk.database, away).round()
    assert row(desk, experiment) is not None
    assert "the removal failed: MLflow does not answer: ConnectError" in caplog.text


def test_the_thread_ends_when_it_is_asked_to_stop(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeper, "INTERVAL_S", 0.01)
    experiment = ended(desk, retention={"checkpoints": "none"})
    folder = write_checkpoints(desk, experiment)
    keeper = Housekeeper(desk.database, desk.settings)
    keeper.start()
    keeper.ask_to_stop()
    assert keeper.ended_within(60)
    assert files(folder) in ([], ["epoch-000001.pt", "epoch-000002.pt", "model.pt"])

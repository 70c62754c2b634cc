"""Tests of trials that estimate the energy for one image."""

from pathlib import Path
from typing import Any

import pytest

from service.plan import plan
from service.runner.commits.reading import read_progress
from service.runner.trial.trainable import StageTrial
from service.runner.verifying.replay import Replay
from service.spec import parse
from service.storage import ExperimentFolder, StageFolder
from tests.unit.service.runner.trial.test_trainable import TRAIN, config, run
from tet_core import train_epochs
from tet_core.config import TrainConfig
from tet_core.measure.energy import VAL_ENERGY_J

WITH_VALIDATION = {"validation": 0.1}


def energies(folder: StageFolder) -> list[float | None]:
    return [commit.metrics.get(VAL_ENERGY_J) for commit in read_progress(folder).commits]


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return StageFolder(tmp_path / "0")


def test_each_commit_has_the_energy(folder: StageFolder) -> None:
    run(StageTrial(config(folder.path, train=WITH_VALIDATION, with_energy=True)))
    alone = train_epochs(TrainConfig.model_validate(TRAIN | WITH_VALIDATION), with_energy=True)
    assert energies(folder) == [epoch.metrics[VAL_ENERGY_J] for epoch in alone]


def test_the_energy_is_estimated_only_on_request(folder: StageFolder) -> None:
    trial_config = config(folder.path, train=WITH_VALIDATION)
    assert trial_config["with_energy"] is False
    run(StageTrial(trial_config))
    assert energies(folder) == [None] * 3


def test_without_a_validation_set_the_stage_fails_with_a_reason(folder: StageFolder) -> None:
    report = run(StageTrial(config(folder.path, with_energy=True)))[-1]
    assert report["end"] == "failed"
    assert "validation is 0; it must be above 0 if with_energy is True" in report["failure"]


@pytest.mark.parametrize("with_energy", [False, True])
def test_a_replay_estimates_the_energy_if_the_training_did(tmp_path: Path, with_energy: bool) -> None:
    stage: dict[str, Any] = {"kind": "train", "T": 1, "epochs": 2, "loss": {"name": "sdt"}}
    spec = {"name": "x", "dataset": {"name": "digits"}, "model": {"name": "vgg_small", "width": 2}, "validation": 0.1}
    (chain,) = plan(parse({**spec, "arms": [{"name": "SDT", "stages": [stage]}], "seeds": [3]}))
    folder = ExperimentFolder(tmp_path, "e")
    path, stage_config = folder.stage(chain.id, 0).path, chain.stages[0].config.model_dump(mode="json")
    run(StageTrial(config(path, config=stage_config, with_energy=with_energy)))
    result = Replay(folder, chain, 0, None).run()
    assert (result["state"], result["num_compared"]) == ("equal", 2)

"""Tests of attempts that fail: at a limit, in another environment, or in the network of an entry point."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.runner.commits.reading import read_progress
from service.runner.trial.trainable import StageTrial
from service.storage import StageFolder
from tests.unit.service.runner.trial.test_trainable import config, run
from tet_core import checkpoint as checkpoints

SILENT = {
    "neuron": {"name": "lif", "v_threshold": 1e6},
    "model": {"name": "vgg_small", "width": 2, "norm": {"name": "bn"}},
}


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return StageFolder(tmp_path / "0")


def failure(report: dict[str, Any]) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(report["failure"])
    return stored


def test_a_network_that_is_silent_for_too_long_fails_and_its_epochs_stay(folder: StageFolder) -> None:
    silent = config(folder.path, train=SILENT, limits={"health": {"patience": 2}})
    reported = failure(run(StageTrial(silent))[-1])
    assert reported["type"] == "health"
    assert reported["message"].startswith(
        "layer features.0.lif is silent: a firing rate of 0 in each of the last 2 epochs"
    )
    progress = read_progress(folder)
    assert [commit.layers["features.0.lif"].firing_rate for commit in progress.commits] == [0.0, 0.0]
    # If the driver dies before it marks the stage as failed, the next attempt fails in the same way.
    assert failure(run(StageTrial(silent))[-1])["message"] == reported["message"]
    assert len(read_progress(folder).commits) == 2


EASY = {"name": "lif", "v_threshold": 0.2}


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ({"neuron": {"name": "lif", "v_threshold": 1e4}}, "is silent: a firing rate of 0 in the last epoch"),
        ({"neuron": {"name": "lif", "v_threshold": 1e-6}}, "is saturated: a firing rate of 0."),
        ({"surrogate": {"name": "rectangular", "gamma": 1e-6}, "neuron": EASY}, "lets no gradient through: "),
        ({"optimizer": {"name": "adam", "lr": 1e3}, "neuron": EASY}, "lets no gradient through: "),
    ],
    ids=["dead", "saturated", "cut off", "blown up"],
)
def test_an_unhealthy_network_fails_with_its_symptom(folder: StageFolder, train: dict[str, Any], words: str) -> None:
    # Weights of bn start at 1. Those of tdbn start at the threshold, so the threshold would not matter.
    model = {"name": "vgg_small", "width": 8, "norm": {"name": "bn"}}
    # With a threshold near 0, about half of the currents exceed it, so the firing rate is about 0.5.
    limits = {"health": {"patience": 1, "max_rate": 0.45 if "saturated" in words else 1.0}}
    trial_config = config(folder.path, train={"model": model, "T": 2, "epochs": 2, **train}, limits=limits)
    reported = failure(run(StageTrial(trial_config))[-1])
    assert reported["type"] == "health"
    assert words in reported["message"]


def test_a_stage_ends_at_the_first_step_after_its_time(folder: StageFolder) -> None:
    run(StageTrial(config(folder.path)), steps=1)
    reported = failure(run(StageTrial(config(folder.path, limits={"max_time_s": 1e-6})))[-1])
    assert (reported["type"], reported["class"], reported["kind"]) == ("max_time", "user", None)
    assert len(read_progress(folder).commits) == 1, "the commit stays"


@pytest.mark.slow
def test_a_stage_never_continues_with_another_instruction_set(folder: StageFolder) -> None:
    first = json.dumps(config(folder.path))
    program = (
        "import json, sys; from service.runner.trial.trainable import StageTrial;"
        "StageTrial(json.loads(sys.argv[1])).step()"
    )
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default", "PYTHONPATH": os.getcwd()}
    subprocess.run([sys.executable, "-c", program, first], env=environment, check=True, capture_output=True)
    reported = failure(run(StageTrial(config(folder.path)))[-1])
    assert (reported["type"], reported["class"]) == ("environment", "cluster")
    assert "instruction_set: saved 'DEFAULT', now '" in reported["message"]


def test_an_unforeseen_error_is_reported_with_its_traceback(
    folder: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_broken_net(tmp_path / "site", monkeypatch)
    model = {"name": "entry_point", "entry_point": "broken"}
    reported = failure(run(StageTrial(config(folder.path, train={"model": model})))[-1])
    assert (reported["type"], reported["class"], reported["kind"]) == ("error", "user", "RuntimeError")
    assert reported["message"] == (
        "entry_point 'broken' raised RuntimeError: mat1 and mat2 shapes cannot be multiplied (512x64 and 7x10)"
    )
    assert "broken_net.py" in reported["traceback"]


def test_a_network_that_is_not_finite_is_never_committed(
    folder: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_broken_net(tmp_path / "site", monkeypatch)
    model = {"name": "entry_point", "entry_point": "overflowing"}
    reports = run(StageTrial(config(folder.path, train={"model": model, "epochs": 4})))
    reported = failure(reports[-1])
    assert (reported["type"], reported["class"], reported["kind"]) == ("not_finite", "user", "FloatingPointError")
    assert reported["message"].startswith("after epoch 3 scale holds inf in 1 of 1 values; a lower learning rate")
    assert [commit.epoch for commit in read_progress(folder).commits] == [1, 2]


def test_a_checkpoint_that_is_not_finite_is_refused_by_the_next_attempt_and_the_next_stage(
    folder: StageFolder, tmp_path: Path
) -> None:
    run(StageTrial(config(folder.path)), steps=1)
    (file,) = folder.path.glob("attempts/*/epoch-*.pt")
    checkpoint = checkpoints.load_checkpoint(file)
    checkpoint["model"]["head.weight"][0, 0] = float("nan")
    checkpoints.save_checkpoint(checkpoint, file)
    following = config(tmp_path / "1", train={"T": 2}, previous_stage_path=str(folder.path), stage_index=1)
    for trial in (config(folder.path), following):
        reported = failure(run(StageTrial(trial))[-1])
        assert (reported["type"], reported["class"]) == ("not_finite", "user")
        assert reported["message"].startswith("the checkpoint of epoch 1 is not finite: head.weight holds nan in 1 of")


def _install_broken_net(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package that offers networks with faults."""
    info = site / "broken_net-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-net\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tet.models]\nbroken = broken_net:build\noverflowing = broken_net:overflowing\n"
    )
    (site / "broken_net.py").write_text(
        "import torch\n"
        "class Broken(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.head = torch.nn.Linear(7, 10)\n"
        "    def forward(self, x):\n"
        "        return self.head(x.flatten(2)[0])\n"
        "def build(**asked):\n"
        "    return Broken()\n"
        "class Overflowing(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.head = torch.nn.Linear(64, 10)\n"
        "        self.register_buffer('scale', torch.ones(1))\n"
        "    def forward(self, x):\n"
        "        if self.training:\n"
        "            self.scale *= 1e5\n"  # three times in each epoch
        "        return self.head(x.flatten(2))\n"
        "def overflowing(**asked):\n"
        "    return Overflowing()\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "broken_net", raising=False)

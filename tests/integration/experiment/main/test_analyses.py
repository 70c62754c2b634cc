"""Tests of analyses on a real stack: points, tables and plots, and a driver killed during a landscape."""

import json
import os
import signal
from pathlib import Path

import pytest
from mlflow.entities import Run

from tests.integration.experiment.conftest import SPEC as MAIN_JOB
from tests.integration.experiment.conftest import TET, Finished, driver_process, run_to_end
from tests.local_stack import END_S, Json, LocalStack

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(4 * END_S)]

# Rows enough to kill a driver in the middle.
SIZE = 21
SPEC: Json = {
    "name": "digits: analyses",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 8},
    "arms": [
        {
            "name": "TET",
            "stages": [
                {"kind": "train", "T": 2, "epochs": 3, "loss": TET},
                {"kind": "time_sweep", "T": [1, 2, 4]},
                {"kind": "landscape", "size": SIZE},
                {"kind": "energy"},
                {"kind": "train", "T": 3, "epochs": 1, "loss": TET},
            ],
        }
    ],
    "seeds": [0],
    "resources": MAIN_JOB["resources"],
}


@pytest.fixture(scope="module")
def analysed(stack: LocalStack) -> Finished:
    """Run the experiment undisturbed to its end."""
    return run_to_end(stack, stack.post(SPEC).json()["id"])


def children(finished: Finished) -> list[Run]:
    """Return the runs of the stages, in order."""
    runs = [run for run in finished.runs() if "tet.stage" in run.data.tags]
    return sorted(runs, key=lambda run: int(run.data.tags["tet.stage"]))


def table(finished: Finished, run: Run, folder: Path) -> list[Json]:
    file = finished.mlflow.download_artifacts(run.info.run_id, "table.json", str(folder))
    content = json.loads(Path(file).read_bytes())
    return [dict(zip(content["columns"], line, strict=True)) for line in content["data"]]


def test_the_api_shows_each_analysis_with_its_rows(analysed: Finished) -> None:
    (chain,) = analysed.chains
    shown = [(stage["kind"], stage["T"], stage["epoch"], stage["epochs"]) for stage in chain["stages"]]
    assert shown == [
        ("train", 2, 3, 3),
        ("time_sweep", None, 3, 3),
        ("landscape", 2, SIZE, SIZE),
        ("energy", 2, 1, 1),
        ("train", 3, 1, 1),
    ]


def test_each_analysis_has_its_points_once_and_a_table_and_a_plot(analysed: Finished, tmp_path: Path) -> None:
    _, sweep, landscape, energy, _ = children(analysed)
    for run, key, steps, lines in (
        (sweep, "time_sweep/accuracy", [1, 2, 4], 3),
        (landscape, "landscape/loss_tet_min", list(range(1, SIZE + 1)), SIZE**2),
        (energy, "energy/uj_per_image", [2], 9),
    ):
        history = analysed.mlflow.get_metric_history(run.info.run_id, key)
        assert sorted(point.step for point in history) == steps
        names = {artifact.path for artifact in analysed.mlflow.list_artifacts(run.info.run_id)}
        assert names >= {"table.json", "table.csv", "plot.png"}
        assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "table.json", "type": "table"}]
        folder = tmp_path / key.partition("/")[0]
        folder.mkdir()
        assert len(table(analysed, run, folder)) == lines


def test_centre_and_sweep_equal_the_metrics_of_the_checkpoint_exactly(analysed: Finished, tmp_path: Path) -> None:
    training, sweep, landscape, *_ = children(analysed)
    (centre,) = [r for r in table(analysed, landscape, tmp_path) if r["alpha"] == 0 and r["beta"] == 0]
    at_trained_T = next(r for r in table(analysed, sweep, tmp_path) if r["T"] == 2)
    for key in ("loss_sdt", "loss_tet"):
        assert centre[key] == at_trained_T[key] == training.data.metrics[f"test/{key}"]


def test_training_continues_from_the_training_before_the_analyses(analysed: Finished) -> None:
    first, *_, last = children(analysed)
    assert last.data.tags["tet.initial_sha256"] == first.data.tags["tet.weights_sha256"]
    (arm,) = analysed.stack.get(f"/experiments/{analysed.id}/comparison")["arms"]
    assert [each["value"] for each in arm["values"]] == [last.data.metrics["test/accuracy"]]
    (parent,) = [run for run in analysed.runs() if "tet.stage" not in run.data.tags]
    assert parent.data.metrics["test/accuracy"] == last.data.metrics["test/accuracy"]


@pytest.mark.long
def test_a_driver_killed_during_a_landscape_changes_no_result(
    stack: LocalStack, analysed: Finished, tmp_path: Path
) -> None:
    experiment_id = stack.post(SPEC).json()["id"]
    stack.await_experiment(experiment_id, lambda view: view["chains"][0]["stages"][2]["epoch"] >= 2)
    os.kill(driver_process(experiment_id).pid, signal.SIGKILL)
    again = run_to_end(stack, experiment_id)
    assert again.chains[0]["stages"][2]["attempts"] == 2
    assert again.series() == analysed.series()
    tables = []
    for finished in (analysed, again):
        (tmp_path / finished.id).mkdir()
        tables.append(table(finished, children(finished)[2], tmp_path / finished.id))
    assert tables[0] == tables[1]

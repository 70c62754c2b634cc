"""A stack that the tests of a folder share, and a finished experiment on it, which the tests in `main` read."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.local_stack import ENDED, Json, LocalStack, local_stack

TET = {"name": "tet", "lamb": 0.05, "phi": 1.0}
# The demo's experiment with fewer epochs and channels: 3 arms, 3 seeds, 9 chains, 12 stages.
SPEC: Json = {
    "name": "digits: SDT, TET, TIT",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 8},
    "arms": [
        {"name": "SDT", "stages": [{"kind": "train", "T": 4, "epochs": 6, "loss": {"name": "sdt"}}]},
        {"name": "TET", "stages": [{"kind": "train", "T": 4, "epochs": 6, "loss": TET}]},
        {
            "name": "TIT",
            "stages": [
                {"kind": "train", "T": 2, "epochs": 4, "loss": TET},
                {"kind": "train", "T": 4, "epochs": 2, "loss": TET},
            ],
        },
    ],
    "baseline": "SDT",
    "seeds": [0, 1, 2],
    "resources": {"cpus_per_trial": 1, "gpus_per_trial": 0, "workers_per_trial": 1},
}
# The same with a new process for each trial, which takes about 5 s more for each. The bits must be the same.
IN_NEW_PROCESSES: Json = SPEC | {"resources": SPEC["resources"] | {"reuse_actors": False}}
KEY = "the-key-of-this-experiment"


@dataclass
class Finished:
    """An experiment that has ended.

    `view` is its last view, and `early` one of the time at which it ran and had committed an epoch.
    """

    stack: LocalStack
    id: str
    early: Json
    view: Json

    @property
    def chains(self) -> list[Json]:
        chains: list[Json] = self.view["chains"]
        return chains

    @property
    def mlflow(self) -> MlflowClient:
        return MlflowClient(self.stack.settings.mlflow_url)

    def runs(self) -> list[Run]:
        """Return all runs of the experiment's chains and stages in MLflow."""
        client = self.mlflow
        experiment = self.view["links"]["mlflow"].split("/experiments/")[1].split("/")[0]
        return [run for run in client.search_runs([experiment], max_results=1000) if "tet.chain" in run.data.tags]

    def series(self) -> dict[tuple[str, int, int], list[tuple[str, int, float]]]:
        """Return the points (key, step, value) of each stage, by arm, seed and stage, without metrics of time."""
        series = {}
        for run in self.runs():
            tags = run.data.tags
            if "tet.stage" in tags:
                keys = [key for key in run.data.metrics if not key.endswith(("_s", "_per_s"))]
                points = [p for key in keys for p in self.mlflow.get_metric_history(run.info.run_id, key)]
                where = (tags["tet.arm"], int(tags["tet.seed"]), int(tags["tet.stage"]))
                series[where] = sorted((point.key, point.step, point.value) for point in points)
        return series

    def hashes(self) -> dict[tuple[str, int, int], str]:
        """Return the hash of each stage's final weights."""
        return {
            (chain["arm"], chain["seed"], stage["index"]): stage["weights_sha256"]
            for chain in self.chains
            for stage in chain["stages"]
        }


def run_to_end(stack: LocalStack, experiment_id: str) -> Finished:
    """Wait for the end of an experiment, which must succeed."""
    early = stack.await_experiment(
        experiment_id, lambda view: view["progress"]["epochs_done"] or view["state"] in ENDED
    )
    view = stack.await_end(experiment_id)
    assert view["state"] == "succeeded", view
    return Finished(stack, experiment_id, early, view)


def _has_begun(view: Json) -> bool:
    return bool(view["progress"]["epochs_done"]) or view["state"] in ENDED


def ask(stack: LocalStack, method: str, path: str, status: int = 202, body: Json | None = None) -> Json:
    """Make a request, whose answer must have this status, and return the answer."""
    with stack.http as http:
        answer = http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    content: Json = answer.json() if answer.content else {}
    return content


def until(stack: LocalStack, path: str, key: str, wanted: set[str]) -> Json:
    """Wait until a key in the answer to a path has one of these values, and return the answer."""
    deadline = time.monotonic() + 120
    while (answer := stack.get(path))[key] not in wanted:
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    return answer


def driver_process(experiment_id: str, killed: psutil.Process | None = None) -> psutil.Process:
    """Wait for the process of an experiment's driver, other than the `killed` one, and return it.

    The shell in which Ray starts the driver does not count.
    """
    deadline = time.monotonic() + 120
    while True:
        processes = [
            process
            for process in psutil.process_iter(["cmdline"])
            if {"service.runner.driver", experiment_id} <= set(process.info["cmdline"] or ()) and process != killed
        ]
        if processes:
            return processes[-1]
        assert time.monotonic() < deadline, f"no driver of {experiment_id} is alive"
        time.sleep(0.1)


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Start a stack on SQLite, and yield it."""
    home: Path = tmp_path_factory.mktemp("stack")
    with local_stack(home) as new_stack:
        yield new_stack


@pytest.fixture(scope="package")
def finished(stack: LocalStack) -> Finished:
    """Run the experiment to its end, and return it."""
    answer = stack.post(SPEC, **{"Idempotency-Key": KEY})
    assert answer.status_code == 202, answer.text
    return run_to_end(stack, answer.json()["id"])

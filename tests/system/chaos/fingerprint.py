"""The fingerprint of an experiment: all its results, as plain values that can be compared."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import ViewType

from service.storage import ExperimentFolder
from tests.local_stack import Json, LocalStack
from tests.metric_series import Point, points_and_times

Where = tuple[str, int, int | None]  # arm, seed, stage; None: the chain itself


@dataclass
class Fingerprint:
    """All results that depend only on the spec, and not on faults.

    Attributes:
        states: The states of the experiment, its chains and stages, from the API.
        hashes: The hash of each stage's final weights.
        series: Each run's points in MLflow, without times.
        times: The number of points of each time metric at each step.
        runs: The number of runs of each chain and stage, by state.
        artifacts: The paths of each run's files in MLflow.
        files: Each stage's files on storage, except those that only concern one attempt.
        models: The number of logged models, by stage key.
        num_experiments: The number of MLflow experiments with the experiment's id.
    """

    states: Counter[str] = field(default_factory=Counter)
    hashes: dict[Where, str] = field(default_factory=dict)
    series: dict[Where, list[Point]] = field(default_factory=dict)
    times: dict[Where, Counter[tuple[str, int]]] = field(default_factory=dict)
    runs: Counter[tuple[Where, str]] = field(default_factory=Counter)
    artifacts: dict[Where, list[str]] = field(default_factory=dict)
    files: dict[Where, list[str]] = field(default_factory=dict)
    models: Counter[str] = field(default_factory=Counter)
    num_experiments: int = 0

    @property
    def num_points(self) -> int:
        """The number of points of all metrics, including times."""
        return sum(map(len, self.series.values())) + sum(times.total() for times in self.times.values())

    def differences(self, other: "Fingerprint") -> list[str]:
        """Return the differences between this fingerprint and another one, as messages."""
        messages = []
        for name, value in vars(self).items():
            expected = getattr(other, name)
            if value != expected:
                messages += _difference(name, expected, value)
        return messages


def _difference(name: str, expected: Any, result: Any) -> list[str]:
    if isinstance(expected, dict):
        keys = [key for key in {**expected, **result} if expected.get(key) != result.get(key)]
        return [f"{name} of {key}: {_cut(expected.get(key))} became {_cut(result.get(key))}" for key in keys[:5]]
    return [f"{name}: {_cut(expected)} became {_cut(result)}"]


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "…"


def take(stack: LocalStack, experiment_id: str, folder: ExperimentFolder) -> Fingerprint:
    """Return the fingerprint of an experiment that has ended."""
    view = stack.get(f"/experiments/{experiment_id}")
    result = Fingerprint()
    _from_api(result, view)
    _from_mlflow(result, MlflowClient(stack.settings.mlflow_url), experiment_id)
    for chain in view["chains"]:
        for stage in chain["stages"]:
            where = (chain["arm"], chain["seed"], stage["index"])
            result.files[where] = _files(folder, chain["id"], stage["index"])
    return result


def _from_api(result: Fingerprint, view: Json) -> None:
    result.states[f"experiment {view['state']}"] += 1
    for chain in view["chains"]:
        result.states[f"chain {chain['state']}"] += 1
        for stage in chain["stages"]:
            result.states[f"stage {stage['state']} at {stage['epoch']} of {stage['epochs']}"] += 1
            result.hashes[chain["arm"], chain["seed"], stage["index"]] = stage["weights_sha256"]


def _from_mlflow(result: Fingerprint, client: MlflowClient, experiment_id: str) -> None:
    query = f"tags.`tet.experiment` = '{experiment_id}'"
    experiments = [e.experiment_id for e in client.search_experiments(ViewType.ACTIVE_ONLY, filter_string=query)]
    result.num_experiments = len(experiments)
    for run in client.search_runs(experiments, max_results=1_000):
        tags = run.data.tags
        if "tet.chain" not in tags:  # the run with the files of the comparison
            continue
        stage = int(tags["tet.stage"]) if "tet.stage" in tags else None
        where = (tags["tet.arm"], int(tags["tet.seed"]), stage)
        result.runs[where, run.info.status] += 1
        points, times = points_and_times(client, run)
        result.series.setdefault(where, []).extend(points)
        result.times.setdefault(where, Counter()).update(times)
        result.artifacts[where] = sorted(_artifacts(client, run.info.run_id, None))
    for model in client.search_logged_models(experiments, max_results=1_000):
        result.models[model.tags["tet.stage_key"].partition("/")[2]] += 1


def _artifacts(client: MlflowClient, run_id: str, path: str | None) -> list[str]:
    paths: list[str] = []
    for file in client.list_artifacts(run_id, path):
        paths += _artifacts(client, run_id, file.path) if file.is_dir else [file.path]
    return paths


def _files(folder: ExperimentFolder, chain_id: str, index: int) -> list[str]:
    """Return the paths of commits, markers and checkpoints, without the numbers of attempts."""
    stage = folder.stage(chain_id, index)
    files = [file.relative_to(stage.path) for file in stage.path.rglob("*") if file.is_file()]
    compared = [file for file in files if file.suffix in (".pt", ".tmp") or file.parts[0] != "attempts"]
    return sorted("/".join(part for part in file.parts if not part.isdigit()) for file in compared)

"""The fingerprint of an experiment: everything that it left, as plain values that can be compared."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from service.storage import ExperimentFolder
from tests.local_stack import Json, LocalStack

# Endings of the metrics that measure time: they are no part of a metric series.
TIMES = ("_s", "_per_s")
Where = tuple[str, int, int | None]  # arm, seed, stage; None: the chain itself
Point = tuple[str, int, float]  # key, step, value


@dataclass
class Fingerprint:
    """Everything that is the same for the same spec, however often the experiment was struck.

    Attributes:
        states: The states of the experiment, its chains and stages, from the API.
        hashes: The hash of each stage's final weights.
        series: Each run's points in MLflow, without times.
        times: How many points each time metric has at each step.
        runs: How many runs each chain and stage has, by their states.
        artifacts: The paths of each run's files in MLflow.
        files: Each stage's files on storage, apart from those that concern one attempt only.
        models: How many logged models there are, by stage key.
        num_experiments: How many MLflow experiments have its id.
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
        """How many points of metrics there are, times included."""
        return sum(map(len, self.series.values())) + sum(times.total() for times in self.times.values())

    def differences(self, other: "Fingerprint") -> list[str]:
        """Return how this fingerprint differs from another one, in words."""
        found = []
        for name, own in vars(self).items():
            theirs = getattr(other, name)
            if own != theirs:
                found += _difference(name, theirs, own)
        return found


def _difference(name: str, expected: Any, found: Any) -> list[str]:
    if isinstance(expected, dict):
        keys = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
        return [f"{name} of {key}: {_cut(expected.get(key))} became {_cut(found.get(key))}" for key in keys[:5]]
    return [f"{name}: {_cut(expected)} became {_cut(found)}"]


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "…"


def take(stack: LocalStack, experiment_id: str, folder: ExperimentFolder) -> Fingerprint:
    """Return the fingerprint of an experiment that has ended."""
    view = stack.get(f"/experiments/{experiment_id}")
    found = Fingerprint()
    _from_api(found, view)
    _from_mlflow(found, MlflowClient(stack.settings.mlflow_url), experiment_id)
    for chain in view["chains"]:
        for stage in chain["stages"]:
            where = (chain["arm"], chain["seed"], stage["index"])
            found.files[where] = _files(folder, chain["id"], stage["index"])
    return found


def _from_api(found: Fingerprint, view: Json) -> None:
    found.states[f"experiment {view['state']}"] += 1
    for chain in view["chains"]:
        found.states[f"chain {chain['state']}"] += 1
        for stage in chain["stages"]:
            found.states[f"stage {stage['state']} at {stage['epoch']} of {stage['epochs']}"] += 1
            found.hashes[chain["arm"], chain["seed"], stage["index"]] = stage["weights_sha256"]


def _from_mlflow(found: Fingerprint, client: MlflowClient, experiment_id: str) -> None:
    query = f"tags.`tet.experiment` = '{experiment_id}'"
    experiments = [e.experiment_id for e in client.search_experiments(ViewType.ACTIVE_ONLY, filter_string=query)]
    found.num_experiments = len(experiments)
    for run in client.search_runs(experiments, max_results=1_000):
        tags = run.data.tags
        stage = int(tags["tet.stage"]) if "tet.stage" in tags else None
        where = (tags["tet.arm"], int(tags["tet.seed"]), stage)
        found.runs[where, run.info.status] += 1
        _points(found, client, run, where)
        found.artifacts[where] = sorted(_artifacts(client, run.info.run_id, None))
    for model in client.search_logged_models(experiments, max_results=1_000):
        found.models[model.tags["tet.stage_key"].partition("/")[2]] += 1


def _points(found: Fingerprint, client: MlflowClient, run: Run, where: Where) -> None:
    series, times = found.series.setdefault(where, []), found.times.setdefault(where, Counter())
    for key in run.data.metrics:
        for point in client.get_metric_history(run.info.run_id, key):
            if key.endswith(TIMES):
                times[key, point.step] += 1
            else:
                series.append((key, point.step, point.value))
    series.sort()


def _artifacts(client: MlflowClient, run_id: str, path: str | None) -> list[str]:
    found: list[str] = []
    for file in client.list_artifacts(run_id, path):
        found += _artifacts(client, run_id, file.path) if file.is_dir else [file.path]
    return found


def _files(folder: ExperimentFolder, chain_id: str, index: int) -> list[str]:
    """Return the journal, the markers, and every checkpoint and row, without the numbers of attempts."""
    stage = folder.stage(chain_id, index)
    own = [file.relative_to(stage.path) for file in stage.path.rglob("*") if file.is_file()]
    kept = [file for file in own if file.suffix in (".pt", ".tmp") or file.parts[0] != "attempts"]
    return sorted("/".join(part for part in file.parts if not part.isdigit()) for file in kept)

"""The checks after a round: nothing is lost, nothing is doubled, nothing is left over."""

import json
import time
from collections import Counter
from collections.abc import Iterator

from mlflow import MlflowClient

from service.runner.commits.reading import StageProgress, read_progress
from service.storage import StageFolder
from tests.local_stack import ENDED, TITLE, Json
from tests.system.chaos import fingerprint
from tests.system.chaos.fingerprint import Fingerprint
from tests.system.chaos.world import World
from tet_core import checkpoint as checkpoints

# The time, in s, in which Ray and the supervisor end and start processes.
PROCESSES_S = 90.0
POLL_S = 0.5


def differences(world: World, experiment_id: str, undisturbed: Fingerprint) -> tuple[Fingerprint, list[str]]:
    """Return the fingerprint of a round's experiment, and a message for each broken promise."""
    result = fingerprint.take(world.stack, experiment_id, world.folder(experiment_id))
    wrong = result.differences(undisturbed)
    wrong += _storage_against_mlflow(world, experiment_id)
    wrong += _events(world, experiment_id)
    return result, wrong + _processes(world)


def _storage_against_mlflow(world: World, experiment_id: str) -> Iterator[str] | list[str]:
    """Check that MLflow has every committed point and its time, and that last checkpoints have the right weights."""
    view = world.stack.get(f"/experiments/{experiment_id}")
    client = MlflowClient(world.stack.settings.mlflow_url)
    wrong: list[str] = []
    for chain in view["chains"]:
        for stage in chain["stages"]:
            progress = read_progress(world.folder(experiment_id).stage(chain["id"], stage["index"]))
            where = f"{chain['arm']} seed {chain['seed']} stage {stage['index']}"
            wrong += [f"{where}: {fault}" for fault in _stage(progress, stage, client)]
    return wrong


def _stage(progress: StageProgress, stage: Json, client: MlflowClient) -> Iterator[str]:
    if progress.last is None or progress.done is None:
        yield "the journal has no end"
        return
    committed = {
        (key, commit.epoch if commit.step is None else commit.step, value, commit.at_ms)
        for commit in progress.commits
        for key, value in commit.metrics.items()
    }
    keys = {key for key, *_ in committed}
    shipped = {
        (key, point.step, point.value, point.timestamp)
        for key in keys
        for point in client.get_metric_history(stage["mlflow_run_id"], key)
    }
    if shipped != committed:
        yield f"journal and MLflow differ in {sorted(shipped ^ committed)[:4]}"
    if stage["kind"] == "train":
        yield from _weights(progress)
    yield from _attempts(progress.folder)


def _weights(progress: StageProgress) -> Iterator[str]:
    assert progress.last is not None
    state = checkpoints.load_checkpoint(progress.checkpoint(progress.last))
    if (digest := checkpoints.weights_sha256(state["model"])) != progress.last.weights_sha256:
        yield f"its last checkpoint holds {digest[:12]}, its journal says {progress.last.weights_sha256[:12]}"


def _attempts(folder: StageFolder) -> Iterator[str]:
    """Check that each commit is a file of the attempt that it names."""
    for file in folder.commits.glob("*.json"):
        source = folder.attempt(int(json.loads(file.read_bytes())["attempt"])) / file.name
        if not source.exists() or not source.samefile(file):
            yield f"{file.name} is not the file of the attempt that it names"


def _events(world: World, experiment_id: str) -> list[str]:
    """Check that the end was announced once, and that no state was announced after it."""
    with world.stack.http as http:
        text = http.get(f"/experiments/{experiment_id}/events").text
    kinds = [line.removeprefix("event:").strip() for line in text.splitlines() if line.startswith("event:")]
    data = [json.loads(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]
    ends = [i for i, (kind, each) in enumerate(zip(kinds, data, strict=True)) if _is_end(kind, each)]
    if len(ends) != 1:
        return [f"the end of the experiment was announced {len(ends)} times"]
    after = Counter(kind for kind in kinds[ends[0] + 1 :])
    changed = {kind: n for kind, n in after.items() if kind in ("stage", "chain", "experiment")}
    return [f"the experiment changed after its end: {changed}"] if changed else []


def _is_end(kind: str, data: Json) -> bool:
    return kind == "experiment" and data.get("state") in ENDED


def _processes(world: World) -> list[str]:
    """Check that each component runs once, and that no process works for an experiment that has ended."""
    until = time.monotonic() + PROCESSES_S
    while (wrong := _too_many_or_few(world)) and time.monotonic() < until:
        time.sleep(POLL_S)
    return wrong


def _too_many_or_few(world: World) -> list[str]:
    counts: Counter[str] = Counter()
    for process in world.processes():
        try:
            command = " ".join(process.cmdline()).rstrip()  # a title leaves the other arguments empty
        except Exception:  # the process has just ended
            continue
        counts[_role(process.name(), command)] += 1
    expected = {
        "supervisor": 1,
        "api": 1,
        "control": 1,
        "gcs": 1,
        "raylet": 1 + len(world.nodes),
        "driver": 0,
        "trial": 0,
    }
    return [f"{counts[role]} processes of {role}, not {n}" for role, n in expected.items() if counts[role] != n]


def _role(name: str, command: str) -> str:
    if name in ("raylet", "gcs_server"):
        return name.removesuffix("_server")
    parts = {
        "service.runner": "driver",
        "service.cli.stack.supervisor": "supervisor",
        "-m service.api": "api",
        "-m service.control": "control",
    }
    if TITLE.fullmatch(command):
        return "trial"
    return next((role for part, role in parts.items() if part in command), "other")

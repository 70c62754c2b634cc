"""One stack on which several experiments fail at once, each in another way."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from PIL import Image

from service.storage import ExperimentFolder, StageFolder
from tests.integration.failures import ray_losses
from tests.local_stack import ENDED, Json, LocalStack, local_stack

# The longest wait, in s, until all experiments have ended: long enough for a busy machine.
WITHIN_S = 800
# The time, in s, between two rounds of requests.
POLL_S = 0.3
SDT = {"name": "sdt"}
LOGGED_EPOCHS = 60


def arm(name: str, *, T: int = 1, epochs: int = 10_000, loss: Json = SDT, **settings: object) -> Json:
    stage = {"kind": "train", "T": T, "epochs": epochs, "loss": loss}
    return {"name": name, "stages": [stage], **settings}


def spec(name: str, *arms: Json, **changes: object) -> Json:
    model = {"name": "vgg_small", "width": 2, "norm": {"name": "bn"}}
    whole = {"name": name, "dataset": {"name": "digits"}, "model": model, "seeds": [0], "arms": list(arms)}
    return whole | {"batch_size": 512} | changes


# An epoch takes some seconds with SLOW, and more with SLOWER: an attempt is harmed before it commits another epoch.
SLOW: Json = {"T": 10, "batch_size": 1}
SLOWER: Json = {"T": 50, "batch_size": 1}
# In the order in which they run, the longest first.
SPECS: dict[str, Json] = {
    # On a busy machine, a process may take a while to start, which must not count as a stall.
    "frozen": spec("trials frozen", arm("frozen", **SLOW), limits={"stall_s": 45, "max_losses": 1}),
    "long": spec("at work for too long", arm("long"), limits={"max_time_s": 20}),
    "lost": spec("trials lost", arm("killed", **SLOWER), limits={"max_losses": 2}),
    "tracking": spec("its MLflow experiment is deleted", arm("logged", epochs=LOGGED_EPOCHS)),
    "engine": spec("drivers killed", arm("driven")),
    "arms": spec(
        "one arm for each way",
        arm("not finite", loss={"name": "tet", "lamb": 0.5, "phi": 1e30}),
        arm("silent", neuron={"name": "lif", "v_threshold": 1e6}),
        arm("starved", neuron={"name": "lif", "v_threshold": 0.05}),
        limits={"max_losses": 1, "health": {"patience": 2}},
    ),
    "memory": spec(
        "377 GB of spikes",
        {"name": "large", "stages": [{"kind": "train", "T": 1000, "epochs": 1, "loss": SDT}]},
        model={"name": "vgg_small", "width": 1024},
        batch_size=65_536,
    ),
    "data": spec(
        "a damaged image",
        arm("broken"),
        dataset={"name": "image_folder", "folder": "images", "num_classes": 2, "input_size": 8, "in_channels": 1},
    ),
    "alike": spec(
        "its images are removed after the post",
        arm("one"),
        {"name": "two", "stages": [*arm("T=1", epochs=2)["stages"], *arm("T=2", T=2, epochs=2)["stages"]]},
        dataset={"name": "image_folder", "folder": "removed", "num_classes": 2, "input_size": 8},
        seeds=[*range(20)],
        resources={"cpus_per_trial": 6},  # few trials at once: each takes seconds to start
    ),
    "spec": spec("no such model", arm("foreign"), model={"name": "entry_point", "entry_point": "not_installed_here"}),
}
# The harmed arms, each with the numbers of its harmed attempts. The driver makes one more, which marks the failure.
HARMED = {"frozen": (1,), "killed": (1, 2), "starved": (1,), "logged": (1,)}
# With more experiments at once, starting processes would slow each other down too much.
MAX_RUNNING = 4


class Scene:
    """The experiments, and the harm that is done to them while they run."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.mlflow = MlflowClient(stack.settings.mlflow_url)
        self.ids = {name: _posted(stack, each) for name, each in SPECS.items()}
        # The last view of each experiment.
        self.views: dict[str, Json] = {}
        # Each harmed arm, with the number of the attempt.
        self.harmed: set[tuple[str, int]] = set()
        self.ray: subprocess.Popen[str] | None = None

    def play(self) -> None:
        """Harm the experiments until all have ended."""
        frozen: psutil.Process | None = None
        deadline = time.monotonic() + WITHIN_S
        while open_ := [name for name in self.ids if self.views.get(name, {}).get("state") not in ENDED]:
            assert time.monotonic() < deadline, [(name, self.views[name]["state"]) for name in open_]
            for name in open_:
                self.views[name] = self.stack.get(f"/experiments/{self.ids[name]}")
            for experiment, arm, harm in self._trial_harms():
                if experiment in open_:
                    self._harm_trial(experiment, arm, harm)
            if "engine" in open_:
                self._kill_driver()
            if "tracking" in open_:
                frozen = self._delete_from_mlflow(frozen)
            time.sleep(POLL_S)

    def stage(self, experiment: str, arm: str) -> Json:
        """Return the last view of an arm's only stage."""
        stage: Json = self._chain(experiment, arm)["stages"][0]
        return stage

    def _chain(self, experiment: str, arm: str) -> Json:
        chains: list[Json] = [each for each in self.views[experiment]["chains"] if each["arm"] == arm]
        (chain,) = chains
        return chain

    # -- harm --------------------------------------------------------------------------------------------------

    @staticmethod
    def _trial_harms() -> tuple[tuple[str, str, Callable[[psutil.Process], None]], ...]:
        return (
            ("frozen", "frozen", psutil.Process.suspend),
            ("lost", "killed", psutil.Process.kill),
            ("arms", "starved", _starve),
        )

    def _harm_trial(self, experiment: str, arm: str, harm: Callable[[psutil.Process], None]) -> None:
        """Freeze, kill or starve the process of each new attempt; before a kill, do not wait for the first epoch."""
        folder = self._stage_folder(experiment, arm)
        attempt = max(folder.attempt_numbers(), default=0)
        if attempt not in HARMED[arm] or (arm, attempt) in self.harmed:
            return
        if arm != "killed" and not _has_an_epoch(folder):
            return
        if (process := self.stack.trial_process(f"{arm} · seed 0")) is not None:
            harm(process)
            self.harmed.add((arm, attempt))

    def _stage_folder(self, experiment: str, arm: str) -> StageFolder:
        storage = ExperimentFolder(self.stack.settings.storage, self.ids[experiment])
        return storage.stage(self._chain(experiment, arm)["id"], 0)

    def _kill_driver(self) -> None:
        for process in psutil.process_iter(["cmdline"]):
            if {"service.runner.driver", self.ids["engine"]} <= set(process.info["cmdline"] or ()):
                process.kill()

    def _delete_from_mlflow(self, frozen: psutil.Process | None) -> psutil.Process | None:
        """Delete an experiment in MLflow while its trial is frozen, so that the trial has more to log afterwards."""
        view, harm = self.views["tracking"], ("logged", 1)
        if harm in self.harmed:
            return None
        if frozen is None and _has_an_epoch(self._stage_folder("tracking", "logged")):
            frozen = self.stack.trial_process("logged · seed 0")
            if frozen is not None:
                frozen.suspend()
        if frozen is not None and view["links"]["mlflow"]:
            self.mlflow.delete_experiment(self.mlflow_experiment(view))
            frozen.resume()
            self.harmed.add(harm)
        return frozen

    @staticmethod
    def mlflow_experiment(view: Json) -> str:
        return str(view["links"]["mlflow"].split("/experiments/")[1].split("/")[0])


def _posted(stack: LocalStack, spec: Json) -> str:
    """Post a spec, and return the experiment's id."""
    answer = stack.post(spec)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _has_an_epoch(folder: StageFolder) -> bool:
    return (folder.commits / "000001.json").exists()


def _starve(process: psutil.Process) -> None:
    """Take from a process the right to open files."""
    process.rlimit(psutil.RLIMIT_NOFILE, (1, 1))


def _write_images(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            Image.effect_noise((8, 8), 50).save(folder / name / f"{number}.png")


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])


@contextmanager
def losing_actors() -> Iterator[subprocess.Popen[str]]:
    """Start `ray_losses.py` in a process, and yield it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TET_", "RAY_"))}
    command = [sys.executable, "-W", "ignore", ray_losses.__file__]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        yield it
        it.kill()


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Start a stack, let everything fail, and yield the scene."""
    home: Path = tmp_path_factory.mktemp("failures")
    _write_images(home / "data" / "images")
    _truncate(home / "data" / "images" / "dog" / "2.png")
    _write_images(home / "data" / "removed")
    settings = {
        "TET_DATA": str(home / "data"),
        "TET_NUM_CPUS": "12",
        "TET_MAX_RUNNING": str(MAX_RUNNING),
        "TET_MAX_DRIVER_DEATHS": "1",
        "TET_TRACKING_PATIENCE_S": "4",
    }
    with local_stack(home / "stack", **settings) as stack:
        new_scene = Scene(stack)
        shutil.rmtree(home / "data" / "removed")  # the API has seen it, the trials will not
        new_scene.play()
        with losing_actors() as new_scene.ray:
            yield new_scene

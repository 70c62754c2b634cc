"""The scenarios: faults and changes during a trial of several workers, and the promises about each."""

import json
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from service.runner import verify
from service.runner.trial.common import load_last
from service.states import WorkState
from tests.system.workers.experiment import SPEC, SWEEP, Run, Strike, note_seconds_after_end
from tests.system.workers.nodes import AT_ONCE_S, Nodes, first_worker, workers
from tet_core.config import ImageFolder
from tet_core.data import load_dataset
from tet_core.data.images import ImageFiles
from tet_core.data.loader import TrainLoader, split_validation

# Each promise, and whether it was kept.
Promises = dict[str, bool]
# limits.stall_s, in s, for a frozen worker.
FROZEN_S = 25.0
# The number of epochs of a stage that is stopped after its second epoch.
RESUMED_EPOCHS = 12
# The largest allowed relative difference in float64 after these epochs.
ROUNDING = 1e-9


class Stage:
    """The place in which scenarios run. It keeps the undisturbed runs for comparisons."""

    def __init__(self, nodes: Nodes, storage: Path) -> None:
        self.nodes, self.storage = nodes, storage
        self._undisturbed: dict[int, Run] = {}

    def run(self, name: str, num: int, strike: Strike | None = None, **changes: Any) -> tuple[Run, Promises]:
        """Run an experiment to its end; return it and the promises about every experiment."""
        run = Run(self.storage, name.replace(" ", "-"), num, **changes).to_end(strike)
        return run, {"all CPUs are free at once": self.nodes.await_free_cpus() < AT_ONCE_S}

    def undisturbed(self, num: int) -> Promises:
        """Run without a fault. An analysis follows, which has one worker."""
        left: list[float] = []
        train = SPEC["arms"][0]["stages"][0]
        arms = [{"name": "TET", "stages": [train, SWEEP]}]
        run, promises = self.run(f"{num} undisturbed", num, lambda run: note_seconds_after_end(run, left), arms=arms)
        self._undisturbed[num] = run
        sweep = run.progress(1)
        return promises | {
            "it succeeds at once": run.done.state is WorkState.SUCCEEDED and run.attempts == [1] * 5,
            "the number of workers is recorded": run.progress().started[0].environment["num_workers"] == num,
            "workers end with their stage": bool(left) and all(seconds < AT_ONCE_S for seconds in left),
            "analyses take one worker": sweep.done is not None and "num_workers" not in sweep.started[0].environment,
        }

    def struck(self, what: str, num: int, strike: Strike, cause: str, **changes: Any) -> Promises:
        """Run with a fault after the second epoch. The run must end like an undisturbed one."""
        if num not in self._undisturbed:
            self.undisturbed(num)
        run, promises = self.run(f"{num} {what}", num, strike, **changes)
        return promises | {
            "it succeeds": run.done.state is WorkState.SUCCEEDED,
            "no committed epoch is lost": run.attempts[:2] == [1, 1] and run.progress().started[-1].resumed_epoch >= 2,
            "weights and metrics are those of an undisturbed run": run.series == self._undisturbed[num].series,
            f"the driver logs: {cause}": any(cause in text for text in run.messages),
        }

    def killed(self, num: int) -> Promises:
        """Kill a worker."""
        cause = f"of {num}: its process was lost: Worker unexpectedly exits"
        return self.struck("killed", num, lambda run: workers()[0].kill(), cause)

    def first_killed(self, num: int) -> Promises:
        """Kill the first worker, which is the trial."""
        return self.struck("first killed", num, lambda run: first_worker().kill(), "node_lost: the trial's process")

    def frozen(self, num: int) -> Promises:
        """Freeze a worker."""
        cause = f"stalled: the trial made no step for {FROZEN_S:g} s"
        limits = SPEC["limits"] | {"stall_s": FROZEN_S}
        return self.struck("frozen", num, lambda run: workers()[0].send_signal(signal.SIGSTOP), cause, limits=limits)

    def node_lost(self, num: int) -> Promises:
        """End a worker's node."""
        self.nodes.add_one()
        return self.struck("node lost", num, lambda run: self.nodes.lose_one(), "node was lost")

    def cancelled(self, num: int) -> Promises:
        """Cancel the experiment after the second epoch."""
        train = SPEC["arms"][0]["stages"][0] | {"epochs": 10_000}
        arms = [{"name": "TET", "stages": [train]}]
        run, promises = self.run(f"{num} cancelled", num, lambda run: run.cancelled.set(), arms=arms)
        return promises | {
            "the stage has not ended": run.progress().done is None,
            "committed epochs are kept": len(run.attempts) >= 2,
            "no loss is logged": not any("lost" in text for text in run.messages),
        }

    def resumed(self, num: int, other: int) -> Promises:
        """Stop the experiment after the second epoch, and resume it with another number of workers."""
        train = SPEC["arms"][0]["stages"][0] | {"epochs": RESUMED_EPOCHS}
        changes: dict[str, Any] = {"arms": [{"name": "TET", "stages": [train]}], "precision": "float64"}
        whole, _ = self.run(f"{num} in one go before {other}", num, **changes)
        run, promises = self.run(f"{num} resumed by {other}", num, lambda run: run.cancelled.set(), **changes)
        before = run.series
        run = run.resumed(other).to_end()
        verified = self._verified(run)
        return promises | {
            "it succeeds": run.done.state is WorkState.SUCCEEDED and run.attempts == sorted(run.attempts),
            "committed epochs stay": 2 <= len(before) < RESUMED_EPOCHS and run.series[: len(before)] == before,
            "they equal those of an undisturbed run": whole.series[: len(before)] == before,
            "later epochs equal them up to rounding": _apart(run, whole) < ROUNDING,
            "the number of workers of each attempt is recorded": [
                each.environment["num_workers"] for each in run.progress().started
            ]
            == [num, other],
            "a replay with the same numbers of workers is equal to the bit": verified["state"] == "equal"
            and verified["num_compared"] == RESUMED_EPOCHS,
            "the replay names the numbers of workers": f"from {len(before) + 1} on by {other} (attempt 2)"
            in verified["reason"],
            "all CPUs are free at once again": self.nodes.await_free_cpus() < AT_ONCE_S,
        }

    def verified(self, num: int) -> Promises:
        """Replay a stage with as many workers as it had, and again after a change in its journal."""
        if num not in self._undisturbed:
            self.undisturbed(num)
        run = self._undisturbed[num]
        equal = self._verified(run)
        promises = {
            "all epochs are equal": (equal["state"], equal["num_compared"]) == ("equal", 5),
            "all CPUs are free at once": self.nodes.await_free_cpus() < AT_ONCE_S,
        }
        commit = run.folder.stage(run.chain.id, 0).commits / "000002.json"
        true = commit.read_text()
        commit.write_text(true.replace('"weights_sha256": "', '"weights_sha256": "0'))
        try:
            different = self._verified(run, 2)
        finally:
            commit.write_text(true)
        return promises | {
            "the epoch that was changed is named": (different["state"], different["num_compared"]) == ("different", 2),
            "all CPUs are free at once after it": self.nodes.await_free_cpus() < AT_ONCE_S,
        }

    def _verified(self, run: Run, number: int = 1) -> dict[str, Any]:
        """Return the result of a replay of a run's stage."""
        folder = run.folder
        verify.main(
            [
                "--experiment",
                folder.experiment_id,
                "--number",
                str(number),
                "--chain",
                run.chain.id,
                "--stage",
                "0",
                "--storage",
                str(self.storage),
            ]
        )
        result: dict[str, Any] = json.loads((folder.verification(number) / "result.json").read_bytes())
        return result

    def broken_data(self, num: int) -> Promises:
        """Damage an image that the last worker reads, which is not the trial."""
        dataset = ImageFolder(folder="images", num_classes=2, input_size=8, in_channels=1)
        _make_images(self.storage / "images")
        damaged = _last_of_first_batch(dataset, self.storage, batch_size=8)
        damaged.write_bytes(damaged.read_bytes()[:40])
        changes: dict[str, Any] = {"dataset": dataset.model_dump(mode="json"), "batch_size": 8}
        run, promises = self.run(f"{num} broken data", num, **changes)
        failure = run.done.failure
        assert failure is not None
        return promises | {
            "it fails because of the user's data": (failure.type, failure.whose) == ("data", "user"),
            "it is not retried": run.progress().num_attempts == 2,  # the driver's own attempt marks the stage as failed
            "the worker and the file are named": f"worker {num - 1} of {num}: " in failure.message
            and damaged.name in failure.message,
        }


def _apart(one: Run, other: Run) -> float:
    """Return the largest difference between two runs: absolute for the last weights, relative for the metrics."""
    ours, theirs = (load_last(run.folder.stage(run.chain.id, 0)) for run in (one, other))
    assert ours is not None
    assert theirs is not None
    weights = [float((ours["model"][name] - theirs["model"][name]).abs().max()) for name in ours["model"]]
    pairs = [
        (value, epoch[1][name])
        for mine, epoch in zip(one.series, other.series, strict=True)
        for name, value in mine[1].items()
    ]
    return max(*weights, *(abs(a - b) / max(abs(b), 1.0) for a, b in pairs))


def _make_images(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            Image.effect_noise((8, 8), 50).save(folder / name / f"{number}.png")


def _last_of_first_batch(config: ImageFolder, data_root: Path, batch_size: int) -> Path:
    """Return a file that is in the last worker's share of the first batch."""
    dataset = load_dataset(config, data_root, T=2)
    members, _ = split_validation(dataset.train.labels, 0.0, 0)
    loader = TrainLoader(
        dataset, members, batch_size=batch_size, steps=(), seed=0, device=torch.device("cpu"), dtype=torch.float32
    )
    assert isinstance(dataset.train, ImageFiles)
    return Path(dataset.train.root) / dataset.train.names[int(loader.order(1)[batch_size - 1])]


# The scenarios by name, each with its number of workers.
SCENARIOS: Mapping[str, tuple[Callable[[Stage, int], Promises], int]] = {
    "2 undisturbed": (Stage.undisturbed, 2),
    "2 killed": (Stage.killed, 2),
    "2 cancelled": (Stage.cancelled, 2),
    "2 broken data": (Stage.broken_data, 2),
    "2 verified": (Stage.verified, 2),
    "2 resumed by 1": (partial(Stage.resumed, other=1), 2),
    "1 resumed by 2": (partial(Stage.resumed, other=2), 1),
    "2 first killed": (Stage.first_killed, 2),
    "2 frozen": (Stage.frozen, 2),
    "4 undisturbed": (Stage.undisturbed, 4),
    "4 killed": (Stage.killed, 4),
    "4 node lost": (Stage.node_lost, 4),
    "4 cancelled": (Stage.cancelled, 4),
}

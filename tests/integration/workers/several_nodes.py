"""Run as a program: trials of several workers on a cluster of several nodes; prints what came of them, as JSON.

Every node has one CPU, so every worker is on a node of its own, as far as Ray knows. What is committed tells how far
a trial is; what is to be lost is lost behind its second epoch.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster

from service.plan import plan
from service.runner import verify
from service.runner.board import Board
from service.runner.campaign import Campaign
from service.runner.event_file import EventFile
from service.runner.ledger import Ledger
from service.runner.stage_folder import Progress, read_progress
from service.runner.stop_window import StopWindow
from service.runner.takeover import Takeover
from service.spec import parse
from service.storage import ExperimentFolder

NUM_NODES = 4
KILLED_BEHIND = 2
WAIT_S = 120.0
SPEC: dict[str, Any] = {
    "name": "several workers",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 4},
    "batch_size": 130,
    "arms": [
        {
            "name": "TET",
            "stages": [
                {"kind": "train", "T": 2, "epochs": 5, "loss": {"name": "tet"}},
                {"kind": "time_sweep", "T": [1, 2]},
            ],
        }
    ],
    "seeds": [0],
    "limits": {"max_losses": 2},
}


class Scenario:
    """One experiment, from its first trial to its last."""

    def __init__(self, name: str, storage: Path, num_workers: int, **changes: Any) -> None:
        self.folder = ExperimentFolder(storage, name)
        self.folder.driver(1).mkdir(parents=True)
        spec = SPEC | changes | {"resources": {"workers_per_trial": num_workers}}
        self.folder.spec.write_text(json.dumps(spec))
        self.spec = parse(spec)
        (self.chain,) = plan(self.spec)
        self.cancelled = threading.Event()

    def run(self, strike: Callable[["Scenario"], None] | None = None) -> dict[str, Any]:
        """Run it, and strike once behind the second epoch."""
        ledger = Ledger(self.folder, [self.chain], EventFile(self.folder.events(1)))
        board = Board([self.chain])
        campaign = Campaign(
            self.folder.experiment_id, self.spec, board, ledger, self.folder, None, 1,
            StopWindow(self.cancelled, 10.0), Takeover(self.folder, 1),
        )  # fmt: skip
        thread = threading.Thread(target=self._strike, args=(strike,), daemon=True)
        if strike is not None:
            thread.start()
        begun = time.monotonic()
        campaign.run()
        return self.told() | {"seconds": round(time.monotonic() - begun, 1)}

    def progress(self, stage: int = 0) -> Progress:
        return read_progress(self.folder.stage(self.chain.id, stage))

    def told(self) -> dict[str, Any]:
        train, sweep = self.progress(), self.progress(1)
        return {
            "commits": [(each.epoch, each.attempt, each.weights_sha256) for each in train.commits],
            "metrics": [{k: v for k, v in c.metrics.items() if not k.endswith("_s")} for c in train.commits],
            "resumed": [each.resumed_epoch for each in train.started],
            "environment": train.started[0].environment if train.started else None,
            "done": None if train.done is None else train.done.model_dump(mode="json"),
            "sweep": None if sweep.done is None else sweep.done.state,
        }

    def _strike(self, strike: Callable[["Scenario"], None]) -> None:
        until(lambda: len(self.progress().commits) >= KILLED_BEHIND)
        strike(self)


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
    return found


def workers() -> list[psutil.Process]:
    """The processes of workers beside the first one, in any order."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "Worker" in process.cmdline()[0] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, IndexError):
            continue
    return found


def kill_one(scenario: Scenario) -> None:
    workers()[0].kill()


def is_free() -> bool:
    """Whether all that the cluster has is free again, and nobody is left."""
    have, free = ray.cluster_resources(), ray.available_resources()
    return have.get("CPU") == free.get("CPU") and not workers()


def main(storage: Path) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for num in (2, 4):
        told[f"{num} alone"] = Scenario(f"a{num}", storage, num).run()
        told[f"{num} killed"] = Scenario(f"b{num}", storage, num).run(kill_one)
    return told


if __name__ == "__main__":
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    with tempfile.TemporaryDirectory() as home:
        os.environ["RAY_TMPDIR"] = home
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(NUM_NODES):
            cluster.add_node(num_cpus=1, object_store_memory=80 * 1024**2)
        os.environ["RAY_ADDRESS"] = cluster.address
        print(json.dumps(main(Path(home) / "storage")), flush=True)
        cluster.shutdown()

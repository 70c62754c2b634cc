"""An experiment of the service, run by the service's driver: the spec, the run, and the events read from its file."""

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.service.cluster.mlflow_server import mlflow_server
from benchmarks.service.cluster.nodes import Cluster
from benchmarks.service.measured import Measured, Run
from service.control.driver_job import ENVIRONMENT
from service.events import EVENT, Outcome, StageChanged
from service.settings import Settings
from service.spec import Experiment, parse
from service.states import WorkState
from service.storage import ExperimentFolder
from service.store.rows import new_experiment_id
from tests.ports import free_ports

ARMS, STAGES = 2, 2


@dataclass(frozen=True)
class Driven:
    """The result of one driver: the ends of the stages, how many processes had loaded torch, the outcome, its time."""

    measured: Measured
    ends: list[float]
    num_torch: int
    outcome: str
    outcome_at: float


def spec_of(num_chains: int, *, reuse: bool) -> Experiment:
    """Return a spec of two arms of two train stages, over the number of seeds that gives `num_chains` chains."""
    stage = {"kind": "train", "T": 2, "epochs": 1, "loss": {"name": "tet"}}
    return parse(
        {
            "name": f"{num_chains} chains that only report",
            "dataset": {"name": "digits"},
            "model": {"name": "vgg_small"},
            "arms": [{"name": name, "stages": [stage] * STAGES} for name in ("A", "B")],
            "seeds": list(range(num_chains // ARMS)),
            "resources": {"cpus_per_trial": 1, "gpus_per_trial": 1, "reuse_actors": reuse},
        }
    )


def drive(cluster: Cluster, num_chains: int, *, reuse: bool, ship_along: bool = False) -> Driven:
    """Run an experiment to its outcome.

    Args:
        cluster: The cluster to run on.
        num_chains: Number of chains.
        reuse: Whether actors are reused.
        ship_along: Whether MLflow runs from the beginning; otherwise it starts after all trials have ended.
    """
    experiment_id = new_experiment_id()
    folder = ExperimentFolder(cluster.folder / "storage", experiment_id)
    folder.drivers.mkdir(parents=True)
    spec = spec_of(num_chains, reuse=reuse)
    folder.spec.write_text(json.dumps(spec.model_dump(mode="json", exclude_unset=True)))
    (port,) = free_ports(1)
    settings = Settings.from_environment({})
    command = [
        sys.executable,
        "-m",
        "benchmarks.service.cluster.driver",
        "--experiment",
        experiment_id,
        "--attempt",
        "1",
        "--storage",
        str(folder.storage),
        "--mlflow-url",
        f"http://127.0.0.1:{port}",
        "--stop-window",
        str(settings.stop_window_s),
        "--tracking-patience",
        str(settings.tracking_patience_s),
    ]
    server = mlflow_server(folder.path, cluster.environment, port)
    with ExitStack() as stack:
        if ship_along:
            stack.enter_context(server)
        run = Run(command, {**cluster.environment, **ENVIRONMENT}, cluster.folder / f"driver-{experiment_id}.log")
        stack.callback(run.kill)
        tail = _Tail(folder.events(1))
        while run.look():
            if tail.read() == num_chains * STAGES and not ship_along:
                stack.enter_context(server)
                ship_along = True
        tail.read()
    return Driven(run.measured, sorted(tail.ends.values()), tail.num_torch, tail.outcome, tail.outcome_at)


class _Tail:
    """A reader of an event file that is still being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.ends: dict[tuple[str, int], float] = {}
        self.num_torch = 0
        self.outcome, self.outcome_at = "", 0.0

    def read(self) -> int:
        """Read the new events; return how many stages have succeeded."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self._offset += whole
            for line in data[:whole].splitlines():
                self._take(EVENT.validate_json(line))
        return len(self.ends)

    def _take(self, event: Any) -> None:
        if isinstance(event, StageChanged) and event.state is WorkState.SUCCEEDED:
            if (event.chain, event.stage) not in self.ends:
                self.num_torch += bool(event.metrics["torch"])
            self.ends.setdefault((event.chain, event.stage), event.at.timestamp())
        elif isinstance(event, Outcome):
            self.outcome, self.outcome_at = event.state, event.at.timestamp()

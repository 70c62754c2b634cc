"""The time that the answer takes in a run of the demo, on a stack of its own."""

import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bounds import Bound
from benchmarks.service.answer.timed_names import POINTS, REQUEST, TIMED, AnswerPart
from benchmarks.service.answer.timing import TimedCall, TimedProcess, read_calls, write_hook
from benchmarks.service.measured import cpu_s
from service.cli.stack.component import components
from service.documents.yaml import load_yaml
from service.events import EVENT, StageChanged
from service.settings import Settings
from service.spec import parse
from service.states import DONE
from service.storage import ExperimentFolder
from service.store.database import Database
from tests.local_stack import POLL_S, LocalStack, local_stack
from tests.root import ROOT

DEMO = ROOT / "examples" / "demo.yaml"
# The largest share of the demo's duration, in %, that the answer may take.
MAX_SHARE = 1.0
# The longest time, in s, until the control process has looked at an experiment that has ended; it looks every 5 s.
FILLED_S = 60.0
# The kinds of processes, each by a word of its command line.
KINDS = {"trials": "default_worker.py", "driver": "service.runner.driver", "control process": "service.control"}


@dataclass(frozen=True)
class Demo:
    """A run of the demo.

    Attributes:
        processes: The timed calls of all processes.
        duration_s: From the request to the end that the API answers.
        cores: The number of cores that trials could use.
        last_trial_at: The end of the last trial, in s since 1970.
        ended_at: The end of the driver's event file, in s since 1970.
        mlflow_cpu_s: The processor time of the MLflow server during the run.

    On a busy machine the demo takes longer, and the duration times the cores is more than what the trials took.
    """

    processes: Sequence[TimedProcess]
    duration_s: float
    cores: int
    last_trial_at: float
    ended_at: float
    mlflow_cpu_s: float

    def calls(self, kind: str | None = None) -> list[TimedCall]:
        """Return the calls of all processes of a kind; None: of every process."""
        word = "" if kind is None else KINDS[kind]
        return [call for each in self.processes if word in " ".join(each.command) for call in each.calls]

    @property
    def trials_cpu_s(self) -> float:
        """The processor time of all trials, with the start of their processes, up to the last timed call of each."""
        calls = [each.calls for each in self.processes if KINDS["trials"] in " ".join(each.command)]
        return sum(max(call.process_cpu_s for call in of_one) for of_one in calls if of_one)


def run_demo() -> Demo:
    """Run the demo to its end on a stack of its own, with timers in all processes.

    Raises:
        RuntimeError: The demo has not succeeded, or a timed function was never called.
    """
    # The path must be short: a socket's path may have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tb", dir="/tmp", ignore_cleanup_errors=True) as path:
        hook, folder = Path(path) / "hook", Path(path) / "calls"
        hook.mkdir()
        folder.mkdir()
        write_hook(hook, folder)
        with local_stack(Path(path) / "home", PYTHONPATH=f"{hook}:{ROOT}") as stack:
            demo = _run(stack, folder)
    never = {timed.key for timed in TIMED} - {call.name for call in demo.calls()}
    if never:
        raise RuntimeError(
            f"the demo has never called {', '.join(sorted(never))}: a list of timed names is out of date"
        )
    return demo


def _run(stack: LocalStack, folder: Path) -> Demo:
    spec: Any = load_yaml(DEMO.read_text(encoding="utf-8"))
    cores = stack.settings.num_cpus
    assert cores is not None, "a local stack has a number of cores"
    mlflow = mlflow_process(stack.settings)
    before, began = _family_cpu_s(mlflow), time.monotonic()
    answer = stack.post(spec)
    answer.raise_for_status()
    view = stack.await_end(answer.json()["id"])
    duration_s, mlflow_cpu_s = time.monotonic() - began, _family_cpu_s(mlflow) - before
    if view["state"] != "succeeded":
        raise RuntimeError(f"the demo has {view['state']}: {view['reason']}")
    events = ExperimentFolder(stack.settings.storage, view["id"]).events(1)
    slots = cores // parse(spec).resources.cpus_per_trial
    _await_fillers(stack.settings, view["id"])
    return Demo(read_calls(folder), duration_s, slots, _last_end(events), events.stat().st_mtime, mlflow_cpu_s)


def _await_fillers(settings: Settings, experiment_id: str) -> None:
    """Wait until the control process has looked for what is missing when an experiment has ended."""
    database, deadline = Database(settings.database_url), time.monotonic() + FILLED_S
    try:
        while True:
            with database.reading() as repository:
                row = repository.experiments.get(experiment_id)
            if row.has_curves and row.has_resampled:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the control process has not looked at the ended demo within {FILLED_S:g} s")
            time.sleep(POLL_S)
    finally:
        database.dispose()


def mlflow_process(settings: Settings) -> psutil.Process:
    """Return the process of a stack's MLflow server."""
    (mlflow,) = (each for each in components(settings) if each.name == "mlflow")
    record = mlflow.pid_file.read()
    assert record is not None, "MLflow runs"
    assert record.pid is not None, "MLflow runs"
    return psutil.Process(record.pid)


def _family_cpu_s(process: psutil.Process) -> float:
    """Return the processor time of a process and its children so far, in s."""
    return sum(map(cpu_s, (process, *process.children(recursive=True))))


def _last_end(events: Path) -> float:
    """Return when the last trial had ended, in s since 1970."""
    ends = [EVENT.validate_json(line) for line in events.read_bytes().splitlines()]
    return max(each.at.timestamp() for each in ends if isinstance(each, StageChanged) and each.state in DONE)


# -- the figures ----------------------------------------------------------------------------------------------------


def figures(demo: Demo) -> list[Bound]:
    """Return the sums by part and by kind of process, and the bound."""
    bounds, total = [], 0.0
    for part in AnswerPart:
        sum_s = sum(cpu for _, cpu in _by_kind(demo, part))
        bounds += [Bound(f"{part}: time of a core in the {kind}", cpu, "s") for kind, cpu in _by_kind(demo, part)]
        bounds.append(Bound(f"{part}: time of a core", sum_s, "s"))
        bounds.append(Bound(f"{part}: wall time, with waits for MLflow", _wall(_of(demo.calls(), part)), "s"))
        total += sum_s
    points = [call for call in demo.calls("driver") if call.name == POINTS.key]
    late = later_end_s(demo)
    return [
        *bounds,
        Bound(
            "points of all epochs in MLflow (no part of the answer): time of a core in the driver", _cpu(points), "s"
        ),
        Bound("the demo's duration", demo.duration_s, "s"),
        Bound("time of a core, all parts", total, "s"),
        Bound(
            f"the same, of the duration times {demo.cores} cores of training",
            100 * total / demo.duration_s / demo.cores,
            "%",
            MAX_SHARE,
        ),
        Bound("the same, of the duration alone", 100 * total / demo.duration_s, "%"),
        Bound("the same, of the time of a core that the trials took", 100 * total / demo.trials_cpu_s, "%"),
        Bound(
            "from the end of the last trial to the end of the driver's events", demo.ended_at - demo.last_trial_at, "s"
        ),
        Bound("of it the answer: so much later the experiment ends", late, "s"),
        Bound("the same, of the duration", 100 * late / demo.duration_s, "%"),
    ]


def _by_kind(demo: Demo, part: AnswerPart) -> list[tuple[str, float]]:
    """Return the time of a core that a part takes in each kind of process.

    MLflow's server works while requests wait for it, so its time is shared out by the time of the waits.
    """
    of_kinds = [(kind, _cpu(_of(demo.calls(kind), part))) for kind in KINDS]
    requests = [call for call in demo.calls("driver") if call.name == REQUEST.key]
    share = _wall(_of(requests, part)) / _wall(requests)
    return [(kind, cpu) for kind, cpu in [*of_kinds, ("MLflow server", share * demo.mlflow_cpu_s)] if cpu]


def later_end_s(demo: Demo) -> float:
    """Return how long the driver works for the answer after the last trial: one call after the other."""
    counted = [call for call in demo.calls("driver") if call.part is not None]
    return sum(min(call.wall_s, max(0.0, call.ended_at - demo.last_trial_at)) for call in counted)


def by_name(calls: Iterable[TimedCall]) -> list[dict[str, Any]]:
    """Return the sums of each function in each part, the largest processor time first."""
    rows: dict[tuple[str, AnswerPart | None], dict[str, Any]] = {}
    for call in calls:
        row = rows.setdefault((call.name, call.part), {"name": call.name, "part": call.part, "calls": 0})
        row["calls"] += 1
        for key, value in (("cpu_s", call.cpu_s), ("wall_s", call.wall_s)):
            row[key] = row.get(key, 0.0) + value
    return sorted(rows.values(), key=lambda row: -row["cpu_s"])


def _of(calls: Iterable[TimedCall], part: AnswerPart) -> list[TimedCall]:
    return [call for call in calls if call.part is part]


def _cpu(calls: Iterable[TimedCall]) -> float:
    return sum(call.cpu_s for call in calls)


def _wall(calls: Iterable[TimedCall]) -> float:
    return sum(call.wall_s for call in calls)

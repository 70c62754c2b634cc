"""The largest experiments that the service accepts by default: the cost of planning, and the time of the API's answers.

    python -m benchmarks.service.planning

Each size is measured in a process of its own, on SQLite.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import update

from benchmarks.bounds import Bound, header, machine, rows
from benchmarks.results_file import write
from service.plan import planned
from service.settings import Settings
from service.spec import parse
from service.spec.budgets import Budgets
from service.states import WorkState
from service.store.database import Database
from service.store.tables import ChainRow, StageRow
from tests.integration.api.conftest import served

PACKAGES = ("fastapi", "sqlalchemy", "pydantic")
PLAN_S, PLAN_MB, COMPARISON_S = 2.0, 200.0, 1.0
STAGE = {"kind": "train", "T": 2, "epochs": 3, "loss": {"name": "sdt"}}
SPACE = {"optimizer.lr": {"log_range": [1e-4, 1e-1]}}
# As many metrics as a network of 20 layers of neurons has.
METRICS = {"test/accuracy": 0.9, "val/accuracy": 0.9} | {f"layers/{number}/firing_rate": 0.1 for number in range(40)}


def sized(num_arms: int, num_stages: int, num_seeds: int, num_configurations: int = 1) -> dict[str, Any]:
    """Return a spec of equal arms."""
    search = {"method": "random", "num_configurations": num_configurations, "space": SPACE}
    return {
        "name": "as large as accepted",
        "dataset": {"name": "digits"},
        "model": {"name": "vgg_small"},
        "arms": [{"name": f"arm {number}", "stages": [STAGE] * num_stages} for number in range(num_arms)],
        "seeds": list(range(num_seeds)),
        **({"validation": 0.1, "search": search} if num_configurations > 1 else {}),
    }


# The sizes, each by the budget that it reaches: numbers of arms, stages, seeds and, for a search, configurations.
SIZES = {
    "10,000 chains": (1, 1, 10_000),
    "10,000 chains of two arms": (2, 1, 5_000),
    "20,000 stages in 200 chains": (1, 100, 200),
    "20,000 stages in 10,000 chains": (1, 2, 10_000),
    "10,000 stages of 100 arms": (100, 100, 1),
    "3,300 configurations": (1, 1, 1, 3_300),
    "95 configurations of 100 stages": (1, 100, 1, 95),
}


def measure(name: str, home: str) -> dict[str, float]:
    """Measure one size in this process; `home` is an empty folder."""
    settings = Settings.from_environment({"TET_HOME": home})
    budgets = Budgets(settings.max_chains, settings.max_stages, settings.max_configured_stages)
    raw, before = sized(*SIZES[name]), _peak_mb()
    measured = {"plan_s": _seconds(lambda: [*planned(parse(raw), budgets)])}
    measured["plan_mb"] = _peak_mb() - before
    database = Database(settings.database_url)
    database.migrate()
    with served(settings) as client:
        posted: dict[str, Any] = {}
        measured["post_s"] = _seconds(lambda: posted.update(client.post("/experiments", json=raw).json()))
        succeed(database)
        path = f"/experiments/{posted['id']}"
        measured["view_s"] = _seconds(lambda: client.get(path).raise_for_status())
        measured["comparison_s"] = _seconds(lambda: client.get(f"{path}/comparison").raise_for_status())
    return measured


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def succeed(database: Database) -> None:
    """Let all chains and stages succeed, with the same metrics."""
    with database.engine.begin() as connection:
        connection.execute(update(ChainRow).values(state=WorkState.SUCCEEDED))
        connection.execute(update(StageRow).values(state=WorkState.SUCCEEDED, epoch=3, metrics=METRICS))


def main() -> int:
    """Measure every size and print the figures; return 0 if all bounds hold."""
    print(header("The largest experiments", PACKAGES))
    bounds = []
    for name in SIZES:
        command = [sys.executable, "-m", "benchmarks.service.planning", name]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        bounds += [
            Bound(f"{name}: planning", answer["plan_s"], "s", PLAN_S),
            Bound(f"{name}: memory of planning", answer["plan_mb"], "MB", PLAN_MB),
            Bound(f"{name}: POST", answer["post_s"], "s"),
            Bound(f"{name}: GET", answer["view_s"], "s", COMPARISON_S),
            Bound(f"{name}: GET comparison", answer["comparison_s"], "s", COMPARISON_S),
        ]
    for bound in bounds:
        print(bound.line())
    file = write("service_planning", PACKAGES, {"machine": machine(), "bounds": rows(bounds)})
    print(f"-> {file.relative_to(Path.cwd())}" if file.is_relative_to(Path.cwd()) else f"-> {file}")
    return 0 if all(bound.holds for bound in bounds) else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as home:
            print(json.dumps(measure(sys.argv[1], home)))
        sys.exit(0)
    sys.exit(main())

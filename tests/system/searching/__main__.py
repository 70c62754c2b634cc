"""Searches on a real stack. Their drivers are killed, but nothing is proposed twice, lost or undone.

    python -m tests.system.searching [SEED]

First come 64 random configurations with successive halving, two at a time; their driver is killed five times. Then
comes a search that learns, with successive halving and one chain at a time, once undisturbed and once with killed
drivers: both must give the same result. It prints the broken promises; the exit status is 1 if there are any.
"""

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from service.plan import plan
from service.spec import parse
from service.storage import ExperimentFolder
from tests.integration.experiment.conftest import driver_process
from tests.local_stack import Json, LocalStack, local_stack
from tests.system.searching.checks import SearchRun, broken_promises, differences

SPEC: Json = {
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 4},
    "validation": 0.2,
    "batch_size": 256,
    "arms": [
        {
            "name": "TET",
            "stages": [{"kind": "train", "T": 1, "epochs": 9, "loss": {"name": "tet", "lamb": 0.05, "phi": 1.0}}],
        }
    ],
    "early_stopping": {"name": "asha", "grace_epochs": 1, "reduction_factor": 3},
    "limits": {"health": {}},
    "seeds": [0],
}
SPACE: Json = {
    "optimizer.lr": {"log_range": [1e-4, 0.3]},
    "loss.lamb": {"choice": [0.0, 0.05, 0.2]},
    "surrogate.gamma": {"range": [0.5, 2.0]},
}
MANY: Json = {"name": "64 configurations", "search": {"method": "random", "num_configurations": 64, "space": SPACE}}
LEARNT: Json = {
    "name": "learnt",
    "search": {"method": "tpe", "num_configurations": 24, "space": SPACE, "max_concurrent": 1},
}
NUM_KILLS = 5
# The longest wait, in s, for a number of entries or for the end.
LIMIT_S = 900
# The time, in s, between two checks while the program waits for something.
POLL_S = 0.3


def main(arguments: list[str]) -> int:
    """Run the searches; return the exit status."""
    draws = random.Random(int(arguments[0]) if arguments else 0)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tet-search-") as folder, local_stack(Path(folder)) as stack:
        many = run(stack, SPEC | MANY, sorted(draws.sample(range(4, 75), NUM_KILLS)))
        broken = broken_promises(many, plan(parse(SPEC | MANY)))
        undisturbed = run(stack, SPEC | LEARNT)
        killed = run(stack, SPEC | LEARNT, sorted(draws.sample(range(2, 45), NUM_KILLS)))
        broken += broken_promises(killed) + differences(undisturbed, killed)
    for line in broken:
        print(f"BROKEN  {line}")
    result = f"{len(broken)} promises were broken" if broken else "every promise was kept"
    print(f"{result}, in {time.monotonic() - start:.0f} s")
    return 1 if broken else 0


def run(stack: LocalStack, spec: Json, kills: Sequence[int] = ()) -> SearchRun:
    """Run a search to its end. Kill its driver each time that the journal has a number of entries in `kills`."""
    answer = stack.post(spec)
    assert answer.status_code == 202, answer.text
    search = SearchRun(stack, ExperimentFolder(stack.settings.storage, answer.json()["id"]), parse(spec))
    driver: psutil.Process | None = None
    for at in kills:
        deadline = time.monotonic() + LIMIT_S
        while len(search.entries()) < at:
            assert time.monotonic() < deadline, f"no {at} entries in the journal after {LIMIT_S} s"
            time.sleep(POLL_S)
        # The journal may have passed several of these numbers before the killed driver has a successor.
        driver = driver_process(search.id, killed=driver)
        driver.kill()
        search.remember()
    search.view = stack.await_experiment(search.id, lambda view: view["state"] in ("succeeded", "failed"), LIMIT_S)
    print(f"{spec['name']}: {search.summary()}, its driver killed {len(kills)} times", flush=True)
    return search


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

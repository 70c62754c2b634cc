"""A bare pool of processes that calls `fit` for the stages of an experiment, in a given order.

    python -m benchmarks.service.experiment.bare --stages FILE --slots 2 --folder FOLDER

Each process takes the next stage whose stage before has ended. It keeps the last checkpoint of a stage if another stage
starts from it. The processes are started by this program, so their start counts.
"""

import argparse
import json
import multiprocessing
import sys
import time
from multiprocessing.synchronize import Condition
from pathlib import Path
from typing import Any

# The variable that limits the threads of a process before torch is loaded. Ray sets it for trials too.
THREADS = "OMP_NUM_THREADS"


def work(stages: list[dict[str, Any]], folder: Path, state: Any, changed: Condition) -> None:
    """Train stages until none is left.

    Args:
        stages: For each stage: `config`, `initial` (the place of the stage it starts from, or None) and `is_needed`
            (whether another stage starts from it).
        folder: The folder of the checkpoints.
        state: For each stage: 0 before it is taken, 1 while it runs, 2 when it has ended.
        changed: Guards `state`, and is notified when a stage ends.
    """
    from tet_core import TrainConfig, checkpoint, fit

    while (place := _taken(stages, state, changed)) is not None:
        stage = stages[place]
        before = stage["initial"]
        try:
            initial = None if before is None else checkpoint.load_checkpoint(folder / f"{before}.pt")
            result = fit(TrainConfig.model_validate(stage["config"]), initial=initial)
            if stage["is_needed"]:
                checkpoint.save_checkpoint(result.checkpoint, folder / f"{place}.pt")
            (folder / f"{place}.sha256").write_text(result.weights_sha256)
        finally:  # after an error too, so that no process waits for this stage
            with changed:
                state[place] = 2
                changed.notify_all()


def _taken(stages: list[dict[str, Any]], state: Any, changed: Condition) -> int | None:
    """Take the next stage that may run, and wait for it if need be; None if all stages are taken."""
    with changed:
        while True:
            free = [place for place in range(len(stages)) if state[place] == 0]
            if not free:
                return None
            for place in free:
                before = stages[place]["initial"]
                if before is None or state[before] == 2:
                    state[place] = 1
                    return place
            changed.wait()


def main() -> int:
    """Run all stages; print the time from the start of the first process to the end of the last, in s."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service.experiment.bare")
    parser.add_argument("--stages", type=Path, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    stages = json.loads(arguments.stages.read_text())
    context = multiprocessing.get_context("spawn")
    changed, state = context.Condition(), context.Array("b", len(stages), lock=False)
    start = time.monotonic()
    pool = [
        context.Process(target=work, args=(stages, arguments.folder, state, changed)) for _ in range(arguments.slots)
    ]
    for process in pool:
        process.start()
    for process in pool:
        process.join()
    took = time.monotonic() - start
    assert all(process.exitcode == 0 for process in pool), [process.exitcode for process in pool]
    print(json.dumps({"took_s": took}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

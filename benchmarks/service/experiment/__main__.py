"""What an experiment costs beyond its trainings: the service compared with a bare pool of processes.

    python -m benchmarks.service.experiment [digits] [search] [long] [short] [--rounds 3]

For each part, a stack is started and a small experiment is run on it, so that it is warm. Then the experiment and the
bare pool run in turns, `--rounds` times each. The pool makes the same calls of `fit` in as many processes, in the order
in which the service's stages started. Both must give the same weights. The ratio is that of the medians.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.bounds import Bound, header, machine, rows
from benchmarks.results_file import write
from benchmarks.service.ending import end_tidily
from benchmarks.service.experiment.bare import THREADS
from benchmarks.service.experiment.ours import Ours, run
from benchmarks.service.experiment.workloads import WARMING, WORKLOADS, Workload
from tests.local_stack import LocalStack, local_stack

PACKAGES = ("ray", "mlflow", "torch")


def bare(stack: LocalStack, workload: Workload, ours: Ours, folder: Path) -> float:
    """Run the stages in a bare pool, and return its time in s.

    Raises:
        RuntimeError: The pool failed, or its weights are not those of the service.
    """
    folder.mkdir()
    file = folder / "stages.json"
    file.write_text(json.dumps(ours.stages))
    command = [sys.executable, "-m", "benchmarks.service.experiment.bare", "--stages", str(file)]
    command += ["--slots", str(workload.num_slots), "--folder", str(folder)]
    environment = stack.environment | {THREADS: "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the bare pool ended with status {done.returncode}:\n{done.stderr[-3000:]}")
    hashes = [(folder / f"{place}.sha256").read_text() for place in range(len(ours.stages))]
    if hashes != ours.hashes:
        raise RuntimeError("the weights of the bare pool are not those of the service")
    took_s: float = json.loads(done.stdout.splitlines()[-1])["took_s"]
    return took_s


def compared(workload: Workload, num_rounds: int) -> list[Bound]:
    """Run the experiment and the bare pool in turns, and return the figures."""
    ours: list[Ours] = []
    pool: list[float] = []
    # The path must be short: a socket's path may have at most 107 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="tb", dir="/tmp", ignore_cleanup_errors=True) as path,
        local_stack(Path(path) / "home", TET_NUM_CPUS=str(workload.num_slots)) as stack,
    ):
        run(stack, WARMING)
        for number in range(num_rounds):
            ours.append(run(stack, workload.spec))
            pool.append(bare(stack, workload, ours[-1], Path(path) / f"bare-{number}"))
            print(f"{workload.name}: the service {ours[-1].took_s:.1f} s, the pool {pool[-1]:.1f} s", flush=True)
    took, took_bare = median(each.took_s for each in ours), median(pool)
    name, num = workload.name, len(ours[0].stages)
    return [
        Bound(f"{name}: a stage, of {num}", median(each.stage_s for each in ours), "s"),
        Bound(f"{name}: the bare pool", took_bare, "s"),
        Bound(f"{name}: the service", took, "s"),
        Bound(f"{name}: ratio", took / took_bare, "x", workload.limit),
        Bound(f"{name}: from the request to the first stage's start", median(each.first_start_s for each in ours), "s"),
        Bound(f"{name}: from the last stage's end to 'succeeded'", median(each.after_last_s for each in ours), "s"),
    ]


def main(argv: list[str] | None = None) -> int:
    """Print the figures and write them to a file; return 0 only if all bounds hold."""
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service.experiment")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)}; by default all")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.parts) - set(names):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known are {', '.join(names)}")
    end_tidily()
    print(header("An experiment, compared with a bare pool of processes", PACKAGES), flush=True)
    all_hold = True
    for workload in WORKLOADS:
        if arguments.parts and workload.name not in arguments.parts:
            continue
        about = machine()
        bounds = compared(workload, arguments.rounds)
        print(*(bound.line() for bound in bounds), sep="\n", flush=True)
        result = {"about": about, "arguments": vars(arguments), "rows": rows(bounds)}
        write(f"service_experiment_{workload.name}", PACKAGES, result)
        all_hold &= all(bound.holds for bound in bounds)
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main())

"""A driver compared with bare Tune: a large experiment must complete, and the overhead of a trial is bounded.

    python -m benchmarks.service.cluster [--chains 1000] [--nodes 8] [--gpus 8] [--short 64]

Both run on the same nodes, one after the other, with the same number of trials and the same settings of reuse and
concurrency. Time counts from the start of a process to the end of its last trial, so it includes the driver's work
before the first trial. A trial of bare Tune reports once; a stage of the service starts an attempt, commits an epoch
and marks its end.
"""

import argparse
import json
import sys
import time

from benchmarks.bounds import Bound, header, machine, rows
from benchmarks.results_file import write
from benchmarks.service.cluster.nodes import Cluster, cluster
from benchmarks.service.cluster.ours import STAGES, Driven, drive
from benchmarks.service.ending import end_tidily
from benchmarks.service.measured import Measured, Run
from service.control.driver_job import ENVIRONMENT

PACKAGES = ("ray", "mlflow")
OVERHEAD_S, GROWTH_KB = 0.2, 50.0
# Number of trials that bare Tune holds ready besides those that fit into the cluster. The service holds none ready.
MAX_PENDING = 16
# Number of trials after which memory is measured: before, caches and late imports grow.
WARM_UP = 200


def bare(nodes: Cluster, num_trials: int, *, reuse: bool) -> tuple[Measured, list[float], int]:
    """Run bare Tune; return the measurements, the ends of the trials, and how many processes had loaded torch."""
    folder = nodes.folder / f"bare-{num_trials}-{reuse}"
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.service.cluster.bare", "--trials", str(num_trials)]
    command += ["--folder", str(folder), *(["--reuse"] if reuse else [])]
    num_pending = MAX_PENDING + (nodes.num_gpus if reuse else 0)
    pending = {"TUNE_MAX_PENDING_TRIALS_PG": str(num_pending)}
    run = Run(command, {**nodes.environment, **ENVIRONMENT, **pending}, folder / "bare.log")
    try:
        measured = run.to_the_end()
    finally:
        run.kill()
    result = json.loads((folder / "ends.json").read_text())
    return measured, result["at"], result["torch"]


def compared(nodes: Cluster, num_chains: int, *, reuse: bool) -> list[Bound]:
    """Run bare Tune and the service with equally many trials, and return the figures."""
    num_trials, how = num_chains * STAGES, "used actors" if reuse else "fresh actors"
    print(f"bare Tune, {num_trials:,} trials, {how} ...", flush=True)
    measured, ends, num_torch = bare(nodes, num_trials, reuse=reuse)
    print(f"the service, {num_chains:,} chains x {STAGES} stages, {how} ...", flush=True)
    ours = drive(nodes, num_chains, reuse=reuse)
    bare_s = (ends[-1] - measured.begun) / num_trials
    ours_s = (ours.ends[-1] - ours.measured.begun) / num_trials
    label = f"{num_trials:,} trials, {how}"
    bounds = [
        Bound(f"{label}: stages that did not end well", num_trials - len(ours.ends), "", 0),
        Bound(f"{label}: outcome other than succeeded", float(ours.outcome != "succeeded"), "", 0),
        Bound(f"{label}: trials whose process had torch", num_torch + ours.num_torch, "", 0),
        Bound(f"{label}: bare Tune", bare_s, "s/trial"),
        Bound(f"{label}: the service", ours_s, "s/trial"),
        Bound(f"{label}: overhead", ours_s - bare_s, "s/trial", OVERHEAD_S),
    ]
    return bounds + (_memory(measured, ends, ours, label) if num_trials > 2 * WARM_UP else []) + _shipping(ours, label)


def _memory(measured: Measured, ends: list[float], ours: Driven, label: str) -> list[Bound]:
    figures = (
        ("bare Tune's growth", measured.growth_bytes(ends, WARM_UP), None),
        ("the driver's growth", ours.measured.growth_bytes(ours.ends, WARM_UP), GROWTH_KB),
    )
    whole = ours.measured.uss_at(ours.outcome_at) - ours.measured.uss_at(ours.ends[WARM_UP])
    shipped = ("the driver's growth, shipping included", whole / (len(ours.ends) - WARM_UP), GROWTH_KB)
    return [Bound(f"{label}: {name}", value / 1000, "kB/trial", limit) for name, value, limit in (*figures, shipped)]


def _shipping(ours: Driven, label: str) -> list[Bound]:
    took = ours.outcome_at - ours.ends[-1]
    return [Bound(f"{label}: shipping to MLflow, after the last trial", took / len(ours.ends), "s/trial")]


def main(argv: list[str] | None = None) -> int:
    """Print the figures and write them to a file; return 0 only if all bounds hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service.cluster")
    parser.add_argument("--chains", type=int, default=1_000)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--gpus", type=int, default=8, help="logical GPUs a node")
    parser.add_argument("--short", type=int, default=64, help="number of trials that each get a fresh actor; 0: none")
    arguments = parser.parse_args(argv)
    end_tidily()
    about = machine()
    title = f"Service: {arguments.chains:,} chains x {STAGES} stages, {arguments.nodes} nodes x {arguments.gpus} GPUs"
    print(header(title, PACKAGES), flush=True)
    start_time = time.monotonic()
    with cluster(arguments.nodes, arguments.gpus) as nodes:
        bounds = [Bound("the cluster's start", time.monotonic() - start_time, "s")]
        if arguments.short:
            bounds += compared(nodes, arguments.short // STAGES, reuse=False)
        bounds += compared(nodes, arguments.chains, reuse=True)
    bounds.append(Bound("all of this", time.monotonic() - start_time, "s"))
    print(*(bound.line() for bound in bounds), sep="\n")
    write("service_cluster", PACKAGES, {"about": about, "arguments": vars(arguments), "rows": rows(bounds)})
    return 0 if all(bound.holds for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())

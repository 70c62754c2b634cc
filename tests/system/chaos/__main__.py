"""Faults against a real stack. All results are compared, bit by bit, with those of an undisturbed run.

    python -m tests.system.chaos [--seed N] [--rounds 1-20] [--kills 5]

It prints one line for each fault and a table at the end. The exit status is 1 if anything was lost, doubled, left over
or different, or if no fault found its target. The faults of a round depend only on the seed and the round's number:
`--seed 7 --rounds 4` repeats the fourth round alone.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.local_stack import Json
from tests.system.chaos import checks, fingerprint
from tests.system.chaos.faults import FAULTS, NothingToStrike
from tests.system.chaos.fingerprint import Fingerprint
from tests.system.chaos.schedule import Planned, plan_round
from tests.system.chaos.world import World, enter_own_mounts, world

# Three arms at two seeds: 6 chains, 10 stages, 52 epochs and rows, in about a minute on two cores.
TET = {"name": "tet", "lamb": 0.05, "phi": 1.0}
SPEC: Json = {
    "name": "digits under fire",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 6},
    "arms": [
        {"name": "SDT", "stages": [{"kind": "train", "T": 3, "epochs": 8, "loss": {"name": "sdt"}}]},
        {
            "name": "TIT",
            "stages": [
                {"kind": "train", "T": 2, "epochs": 5, "loss": TET},
                {"kind": "train", "T": 3, "epochs": 4, "loss": TET, "inherit": "all"},
            ],
        },
        {
            "name": "TET, swept",
            "stages": [
                {"kind": "train", "T": 3, "epochs": 5, "loss": TET},
                {"kind": "time_sweep", "T": [1, 2, 3, 4]},
            ],
        },
    ],
    "seeds": [0, 1],
}
# The longest time, in s, for a round. Some faults last a minute, and all components may be restarted.
ROUND_S = 1_200
# The time, in s, between two requests while the program waits for something.
POLL_S = 0.1


@dataclass
class Report:
    """The counts for the table at the end."""

    struck: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    missed: int = 0
    rounds: list[tuple[int, float, list[str]]] = field(default_factory=list)


def main(argv: list[str] | None = None) -> int:
    """Run the rounds; return the exit status."""
    arguments = _parse(argv)
    for number in (signal.SIGINT, signal.SIGTERM):  # exit by an exception, so that all contexts end
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    enter_own_mounts()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="tet-chaos-") as name:
        folder = Path(name)
        with world(folder, _say) as targets:
            undisturbed, num_epochs = _undisturbed(targets)
            for number in arguments.rounds:
                plan = plan_round(arguments.seed, number, num_epochs, arguments.kills)
                _round(targets, arguments.seed, number, plan, undisturbed, report)
    _table(report, arguments.seed)
    # A run in which no fault found its target proves nothing.
    return 1 if any(wrong for *_, wrong in report.rounds) or (report.missed and not report.struck) else 0


def _undisturbed(world: World) -> tuple[Fingerprint, int]:
    start = time.monotonic()
    experiment_id = _post(world)
    _await_end(world, experiment_id)
    result = fingerprint.take(world.stack, experiment_id, world.folder(experiment_id))
    num_epochs = world.num_committed(experiment_id)
    _say(
        f"undisturbed: {len(result.hashes)} stages, {num_epochs} epochs and rows, {result.num_points} points, "
        f"{result.runs.total()} runs, {time.monotonic() - start:.0f} s"
    )
    wrong = [f"{key}" for key in result.states if "succeeded" not in key]
    assert not wrong, wrong
    return result, num_epochs


def _round(world: World, seed: int, number: int, plan: list[Planned], undisturbed: Fingerprint, report: Report) -> None:
    start, experiment_id = time.monotonic(), _post(world)
    wrong: list[str] = []
    for i, planned in enumerate(plan, 1):
        _await_turn(world, experiment_id, planned)
        draw = random.Random(f"{seed}/{number}/{i}")
        for place, name in enumerate(planned.names):
            if place:
                time.sleep(planned.between_s)
            at = world.num_committed(experiment_id)
            message = _strike(world, experiment_id, name, draw, report, wrong)
            _say(f"round {number:2} fault {i}/{len(plan)} at epoch {at:2}  {message}")
    try:
        _await_end(world, experiment_id)
        result, differing = checks.differences(world, experiment_id, undisturbed)
        wrong += differing
        message = f"{len(result.hashes)} hashes, {result.num_points} points, {result.runs.total()} runs"
    except Exception as error:  # the other rounds still run
        wrong.append(f"{type(error).__name__}: {error}")
        message = "not compared"
    elapsed_s = time.monotonic() - start
    report.rounds.append((number, elapsed_s, wrong))
    _say(f"round {number:2} {'FAILED' if wrong else 'equal'}: {message}, {elapsed_s:.0f} s; experiment {experiment_id}")
    for line in wrong:
        _say(f"         {line}")


def _strike(world: World, experiment_id: str, name: str, draw: random.Random, report: Report, wrong: list[str]) -> str:
    try:
        message = FAULTS[name](world, experiment_id, draw)
    except AssertionError as error:
        wrong.append(f"{name}: {error}")
        return f"{name}: {error}"
    except NothingToStrike as reason:
        report.missed += 1
        return f"{name}: nothing was struck: {reason}"
    report.struck[name] += 1
    report.kills += message.startswith("SIGKILL")
    return message


def _await_turn(world: World, experiment_id: str, planned: Planned) -> None:
    until = time.monotonic() + ROUND_S
    while planned.at_epoch is not None and world.num_committed(experiment_id) < planned.at_epoch:
        assert time.monotonic() < until, f"the experiment did not reach epoch {planned.at_epoch}"
        time.sleep(POLL_S)
    time.sleep(planned.then_s)


def _post(world: World) -> str:
    until = time.monotonic() + ROUND_S
    key = f"round-{time.time_ns()}"
    while True:
        try:
            answer = world.stack.post(SPEC, **{"Idempotency-Key": key})
            if answer.status_code == 202:
                return str(answer.json()["id"])
            message = answer.text
            assert answer.status_code >= 500, message
        except httpx.HTTPError as error:  # the API may still be restarting after the round before
            message = str(error)
        assert time.monotonic() < until, message
        time.sleep(POLL_S)


def _await_end(world: World, experiment_id: str) -> None:
    until = time.monotonic() + ROUND_S
    while (view := world.look(experiment_id)) is None or view["finished_at"] is None:
        assert time.monotonic() < until, f"the experiment has not ended: {view and (view['state'], view['reason'])}"
        time.sleep(POLL_S)


def _table(report: Report, seed: int) -> None:
    print("\n| fault | struck |\n|---|---|")
    for name in FAULTS:
        print(f"| {name} | {report.struck[name]} |")
    failed = [number for number, _, wrong in report.rounds if wrong]
    total_s = sum(elapsed_s for _, elapsed_s, _ in report.rounds)
    print(
        f"\n{report.struck.total()} faults ({report.kills} SIGKILLs) in {len(report.rounds)} rounds, seed {seed}, "
        f"{total_s / 60:.0f} min; {report.missed} found nothing to strike; "
        f"{len(report.rounds) - len(failed)} rounds equal to the undisturbed run, {len(failed)} not"
    )
    for number in failed:
        print(f"repeat round {number} alone: make test-chaos SEED={seed} ROUNDS={number}")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="the seed of all random draws")
    parser.add_argument("--rounds", type=_numbers, default=range(1, 21), help="which rounds: 3, 1-20 or 2,5,7")
    parser.add_argument("--kills", type=int, default=5, help="number of faults that kill in each round")
    return parser.parse_args(argv)


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


if __name__ == "__main__":
    sys.exit(main())

"""A training step of every contender, in seconds and in bytes, at several T and in both precisions.

python -m benchmarks.training.steps
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.bounds import Bound, header, machine, rows
from benchmarks.results_file import FOLDER, write
from benchmarks.training.contenders import (
    CONTENDERS,
    FLOOR,
    LOOP,
    MEMORY,
    OURS,
    PRECISIONS,
    SPIKINGJELLY,
    Trained,
    batch,
)
from benchmarks.training.held import allocated_bytes, process_growth_bytes
from benchmarks.training.networks import NETWORKS
from benchmarks.training.rounds import Times, time_alternately
from tet_core import kernels

PACKAGES = ("torch", "spikingjelly", "snntorch")
BATCH = {"vggsnn": 8, "resnet19": 4}
STEPS = (1, 2, 4, 6, 8)
# The T at which the allocator's bytes are compared with the growth of a process. A measurement is only compared if it
# holds more MB than `CHECKED_FROM_MB`.
CHECKED_T = 4
CHECKED_FROM_MB = 20
FAST, LEAST = f"{OURS}, {MEMORY[0]}", f"{OURS}, {MEMORY[-1]}"
FLOORS = (FLOOR, f"{FLOOR}, contiguous")
PEERS = (SPIKINGJELLY, f"{SPIKINGJELLY}, channels-last")
MB = 1e6


@dataclass(frozen=True)
class Measured:
    """The measurement of one contender on one network, at one T in one precision."""

    network: str
    T: int
    precision: str
    contender: str
    times: Times
    held_bytes: int
    grown_bytes: int | None

    def as_row(self) -> dict[str, Any]:
        """Return the measurement as plain data."""
        return {
            **{key: value for key, value in asdict(self).items() if key != "times"},
            "median_s": self.times.median,
            "spread": self.times.spread,
            "seconds": self.times.seconds,
        }


class Table:
    """The measurements on one network, by T, precision and contender."""

    def __init__(self, network: str, measured: Sequence[Measured]) -> None:
        self.network = network
        self.cells = {(each.T, each.precision, each.contender): each for each in measured}

    def at(self, T: int, precision: str, contender: str) -> Measured:
        """Return one measurement."""
        return self.cells[T, precision, contender]

    @property
    def steps(self) -> list[int]:
        """Every T."""
        return sorted({T for T, _, _ in self.cells})

    def fastest(self, T: int, precision: str, contenders: Sequence[str]) -> Measured:
        """Return the measurement of the fastest of several contenders."""
        return min((self.at(T, precision, name) for name in contenders), key=lambda each: each.times.median)

    def over_floor(self, T: int, precision: str, contender: str) -> float:
        """Return the median, over the rounds, of a step's time divided by the floor's time in the same round.

        The floor is the same network with ReLUs instead of neurons, in the faster of its two layouts.
        """
        return self.at(T, precision, contender).times.over(self.fastest(T, precision, FLOORS).times)

    def markdown(self) -> Iterator[str]:
        """Yield as Markdown a table of times, ratios and bytes, then a table of how times and bytes grow with T."""
        names = [contender.name for contender in CONTENDERS]
        for precision in PRECISIONS:
            yield f"\n### {self.network}, {precision}, batch {BATCH[self.network]}\n"
            yield "| | " + " | ".join(f"T = {T}" for T in self.steps) + " |"
            yield "|---|" + "---|" * len(self.steps)
            for name in names:
                cells = [self._cell(T, precision, name) for T in self.steps]
                yield f"| {name} | " + " | ".join(cells) + " |"
        yield f"\n### {self.network}: growth from T = {self.steps[0]} to T = {self.steps[-1]}\n"
        yield "| | " + " | ".join(f"{precision}, time | {precision}, memory" for precision in PRECISIONS) + " |"
        yield "|---|" + "---|---|" * len(PRECISIONS)
        for name in names:
            growths = []
            for precision in PRECISIONS:
                first, last = (self.at(T, precision, name) for T in (self.steps[0], self.steps[-1]))
                growths.append(f"× {last.times.median / first.times.median:.2f}")
                growths.append(f"× {last.held_bytes / first.held_bytes:.2f}")
            yield f"| {name} | " + " | ".join(growths) + " |"

    def _cell(self, T: int, precision: str, name: str) -> str:
        cell = self.at(T, precision, name)
        ratio = self.over_floor(T, precision, name)
        return f"{cell.times.median:.3f} s ± {cell.times.spread:.0%} (× {ratio:.2f}), {cell.held_bytes / MB:.1f} MB"

    def bounds(self) -> Iterator[Bound]:
        """Yield the bounds that the project promises, each at the T for which it is promised.

        The last bound is the check of the allocator's bytes against the growth of the process.
        """
        for T in sorted({2, 4, 6} & set(self.steps)):
            for precision in PRECISIONS:
                yield Bound(
                    f"{self.network} {precision} T={T}: step time relative to the floor",
                    self.over_floor(T, precision, FAST),
                    "x",
                    1.10,
                )
        if CHECKED_T in self.steps:
            yield from self._against_peers(CHECKED_T)
            yield self._check_of_bytes()

    def _against_peers(self, T: int) -> Iterator[Bound]:
        where = f"{self.network} {{}} T={T}"
        for precision, least in (("bfloat16", 1.15), ("float32", 1.03)):
            here, fast = where.format(precision), self.at(T, precision, FAST)
            if self.network == "vggsnn":
                peer = self.fastest(T, precision, PEERS)
                yield Bound(
                    f"{here}: step time relative to SpikingJelly's",
                    fast.times.over(peer.times),
                    "x",
                    round(1 / least, 3),
                )
            default, low = self.at(T, precision, SPIKINGJELLY).held_bytes, self.at(T, precision, LEAST)
            yield Bound(
                f"{here}: bytes at memory level 'fast' relative to SpikingJelly's", fast.held_bytes / default, "x", 0.60
            )
            yield Bound(
                f"{here}: bytes at memory level 'least' relative to SpikingJelly's", low.held_bytes / default, "x", 0.20
            )
            yield Bound(
                f"{here}: step time at memory level 'least' relative to 'fast'", low.times.over(fast.times), "x", 1.35
            )
        if self.network == "vggsnn":
            ratio = self.at(T, "bfloat16", FAST).times.over(self.at(T, "float32", LOOP).times)
            yield Bound(
                f"{self.network} T={T}: step time in bfloat16 relative to the plain loop in float32",
                ratio,
                "x",
                round(1 / 2.2, 3),
            )

    def _check_of_bytes(self) -> Bound:
        """Return a bound on the difference between the allocator's bytes and the process's growth."""
        differences = [
            abs(cell.grown_bytes / cell.held_bytes - 1)
            for cell in self.cells.values()
            if cell.grown_bytes is not None and cell.held_bytes > CHECKED_FROM_MB * MB
        ]
        return Bound(
            f"{self.network} T={CHECKED_T}: difference between the memory of the process and that of the allocator",
            max(differences),
            "x",
            0.15,
        )


def measure(network: str, steps: Sequence[int], rounds: int) -> Table:
    """Measure all contenders on one network."""
    trained = {
        (contender.name, precision): Trained(contender, network, precision)
        for precision in PRECISIONS
        for contender in CONTENDERS
    }
    measured: list[Measured] = []
    for T in steps:
        measured += _measure(network, T, trained, rounds)
        print(f"{network}, T = {T}: done", flush=True)
    return Table(network, measured)


def _measure(network: str, T: int, trained: Mapping[tuple[str, str], Trained], rounds: int) -> Iterator[Measured]:
    frames, labels = batch(network, T, BATCH[network])
    held = {
        (name, precision): allocated_bytes(partial(Trained(each.contender, network, precision).loss, frames, labels))
        for (name, precision), each in trained.items()
    }
    grown = {
        (name, precision): process_growth_bytes(network, name, precision, T, BATCH[network])
        for name, precision in trained
        if T == CHECKED_T
    }
    times = time_alternately({key: partial(each.step, frames, labels) for key, each in trained.items()}, rounds)
    for name, precision in trained:
        key = name, precision
        yield Measured(network, T, precision, name, times[key], held[key], grown.get(key))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write the results; return 0 only if every bound holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.steps", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS], default=[*NETWORKS])
    parser.add_argument("--T", nargs="+", type=int, default=[*STEPS])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    title = header(f"Training steps, {arguments.threads} threads, kernels: {kernels.in_use()}", PACKAGES)
    print(title, flush=True)
    about = machine()
    tables = [measure(network, arguments.T, arguments.rounds) for network in arguments.networks]
    bounds = [bound for table in tables for bound in table.bounds()]
    text = "\n".join(line for table in tables for line in table.markdown())
    legend = (
        "\nEach cell: the median time of a step ± half the interquartile range; in brackets the median, over the "
        "rounds, of this time divided by the floor's time in the same round (the floor is the same network with ReLUs, "
        "in the faster of its two layouts); and the memory held for the backward pass."
    )
    lines = [bound.line() for bound in bounds]
    print(text, legend, "", *lines, sep="\n")
    if vars(arguments) != vars(parser.parse_args([])):
        print("results not written: only a run with all defaults is written")
        return 0 if all(bound.holds for bound in bounds) else 1
    document = f"```\n{title}\n```\n{text}\n{legend}\n\n```\n" + "\n".join(lines) + "\n```\n"
    (FOLDER / "training_steps.md").write_text(document, encoding="utf-8")
    cells = [cell.as_row() for table in tables for cell in table.cells.values()]
    file = write(
        "training_steps",
        PACKAGES,
        {
            "about": about,
            "arguments": vars(arguments),
            "kernel": kernels.in_use(),
            "rows": rows(bounds),
            "cells": cells,
        },
    )
    print(f"written to {file.name}")
    return 0 if all(bound.holds for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())

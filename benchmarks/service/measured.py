"""A process that runs to its end while its memory is measured."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression

import psutil

INTERVAL_S = 1.0


@dataclass
class Measured:
    """The start and end of a process, and its unique memory (USS) over time; times in s since 1970."""

    begun: float
    ended: float = 0.0
    times: list[float] = field(default_factory=list)
    uss_bytes: list[int] = field(default_factory=list)

    def growth_bytes(self, ends: Sequence[float], first: int, until: float | None = None) -> float:
        """Return the growth in bytes for each ended trial: the slope of a fitted line.

        Args:
            ends: The times at which the trials ended, in order.
            first: Number of ends that are left out because the process still warms up.
            until: Time of the last memory value that is used; None: the last end.
        """
        until = ends[-1] if until is None else until
        num_ended, memory = [], []
        passed = 0
        for at, uss in zip(self.times, self.uss_bytes, strict=True):
            while passed < len(ends) and ends[passed] <= at:
                passed += 1
            if passed >= first and at <= until:
                num_ended.append(float(passed))
                memory.append(float(uss))
        return linear_regression(num_ended, memory).slope

    def uss_at(self, at: float) -> int:
        """Return the memory at the last measurement before a time, in bytes."""
        return max((time, uss) for time, uss in zip(self.times, self.uss_bytes, strict=True) if time <= at)[1]


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time of a process so far, in s."""
    times = process.cpu_times()
    return times.user + times.system


class Run:
    """A process and its measurements so far."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.measured = Measured(time.time())
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=output)
        self._watched = psutil.Process(self._process.pid)

    def look(self) -> bool:
        """Wait for an interval and measure once; return whether the process still runs.

        Raises:
            RuntimeError: If the process failed.
        """
        try:
            status = self._process.wait(INTERVAL_S)
        except subprocess.TimeoutExpired:
            self.measured.times.append(time.time())
            self.measured.uss_bytes.append(self._watched.memory_full_info().uss)
            return True
        self.measured.ended = time.time()
        if status != 0:
            tail = self._log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{self._log.stem} ended with status {status}:\n{tail}")
        return False

    def to_the_end(self) -> Measured:
        """Measure until the process has ended."""
        while self.look():
            pass
        return self.measured

    def kill(self) -> None:
        """Kill the process if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

"""The heartbeat of a trial, and the time limit of its stage. A trial handles both at every step.

The heartbeat is a file in the attempt's folder, which the trial touches about once a second. The watchdog only looks
at whether the file has changed, and measures the time by its own clock. So the clock of the trial's node does not
matter.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from service.failures import FailureType
from service.runner.commits.attempt import Attempt
from service.runner.commits.reading import read_commits, read_started, spent_s
from service.runner.diagnosis import StageFailed
from service.spec.blocks import Limits

HEARTBEAT = "heartbeat"
# The time, in s, between two beats, or a twentieth of limits.stall_s if that is shorter.
INTERVAL_S = 1.0


class Heartbeat:
    """The heartbeat of a trial. Call it at every step.

    Args:
        attempt: The attempt. Its folder exists.
        limits: The spec's limits.
        clock: A monotonic clock, in s.
    """

    def __init__(self, attempt: Attempt, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = attempt.path / HEARTBEAT
        self._limits, self._clock = limits, clock
        self._start = self._last_beat = clock()
        self._interval_s = INTERVAL_S if limits.stall_s is None else min(INTERVAL_S, limits.stall_s / 20)
        folder, generation = attempt.folder, attempt.generation
        self._spent_s = spent_s(read_started(folder), read_commits(folder), generation)
        self._beat()

    def __call__(self) -> None:
        """Touch the heartbeat's file, if the next beat is due.

        Raises:
            StageFailed: The stage has run for longer than limits.max_time_s.
        """
        now = self._clock()
        if now - self._last_beat >= self._interval_s:
            self._last_beat = now
            self._beat()
        longest_s, run_time_s = self._limits.max_time_s, self._spent_s + now - self._start
        if longest_s is not None and run_time_s > longest_s:
            raise StageFailed(FailureType.MAX_TIME, over_time(run_time_s, longest_s))

    def _beat(self) -> None:
        # If the storage is full or does not answer, the next commit fails with a message.
        with suppress(OSError):
            self._file.touch()


def over_time(run_time_s: float, longest_s: float) -> str:
    """Return the message about a stage that ran for too long."""
    return f"the stage ran for {run_time_s:.1f} s; limits.max_time_s is {longest_s:g}"


def last_sign(folder: Path) -> int:
    """Return a number that changes with every beat of an attempt; 0 before the first one.

    Raises:
        OSError: The storage does not answer.
    """
    try:
        # On NFS, open() asks the server for the file's state; stat() by name may be answered from a cache.
        with (folder / HEARTBEAT).open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return 0

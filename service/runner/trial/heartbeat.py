"""A trial's sign of life, and the time that its stage has left: both looked after at every step.

The sign is a file in the attempt's folder, touched now and then. Whoever watches it compares it with what it was
before, by a clock of its own, so it does not matter what time the trial's node thinks it is.
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from service.failures import FailureType
from service.runner.commits.attempt import Attempt
from service.runner.commits.reading import read_commits, read_started
from service.runner.commits.records import AttemptStart, Commit
from service.runner.diagnosis import StageFailed
from service.spec.blocks import Limits

HEARTBEAT = "heartbeat"
# The longest time, s, between two beats; where a stall is short, a twentieth of it.
INTERVAL_S = 1.0


class Pulse:
    """Called at every step of a trial.

    Args:
        attempt: The attempt, whose folder has just been made.
        limits: The spec's.
        clock: Seconds, rising.
    """

    def __init__(self, attempt: Attempt, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = attempt.path / HEARTBEAT
        self._limits, self._clock = limits, clock
        self._begun = self._beaten = clock()
        self._interval_s = INTERVAL_S if limits.stall_s is None else min(INTERVAL_S, limits.stall_s / 20)
        folder, generation = attempt.folder, attempt.generation
        self._spent_s = spent_s(read_started(folder), read_commits(folder), generation)
        self._beat()

    def __call__(self) -> None:
        """Give a sign of life, if it is time.

        Raises:
            StageFailed: The stage has been at work for too long.
        """
        now = self._clock()
        if now - self._beaten >= self._interval_s:
            self._beaten = now
            self._beat()
        longest, at_work_s = self._limits.max_time_s, self._spent_s + now - self._begun
        if longest is not None and at_work_s > longest:
            raise StageFailed(FailureType.MAX_TIME, over_time(at_work_s, longest))

    def _beat(self) -> None:
        # A storage that is full or away is met by the next commit, which says so; a step is no place for it.
        with suppress(OSError):
            self._file.touch()


def over_time(at_work_s: float, longest_s: float) -> str:
    """What is said of a stage that was at work for too long."""
    return f"the stage was at work for {at_work_s:.1f} s; limits.max_time_s is {longest_s:g}"


def spent_s(started: Iterable[AttemptStart], commits: Iterable[Commit], generation: int) -> float:
    """Seconds that a generation's attempts at a stage were at work, as far as their commits tell."""
    last: dict[int, int] = {}
    for commit in commits:
        last[commit.attempt] = commit.at_ms
    begun = [each for each in started if each.generation == generation]
    # Both times of one attempt are of one node's clock, which may have been set back.
    return sum(max(0, last.get(each.attempt, each.at_ms) - each.at_ms) for each in begun) / 1_000


def last_sign(folder: Path) -> int:
    """What the heartbeat of an attempt shows now: another number after every beat; 0 while there is none."""
    try:
        # On NFS opening a file asks the server how it is, where a look at its name may be answered from memory.
        with (folder / HEARTBEAT).open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return 0

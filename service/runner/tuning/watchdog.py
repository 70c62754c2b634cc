"""The driver's watch over its trials: it ends a trial that makes no step for too long, or runs for too long.

A trial's process may be frozen, or hang in code that never returns to Python, so it cannot watch itself. The watchdog
looks whether a trial's heartbeat has changed, and measures the time by the driver's own clock: the clocks of the nodes
do not matter.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray

from service.failures import Failure, FailureType
from service.runner.chains.board import StageId
from service.runner.trial.heartbeat import last_sign, over_time
from service.spec.blocks import Limits
from service.storage import StageFolder

log = logging.getLogger(__name__)

# The longest time, s, between two looks.
LOOK_S = 30.0
# A trial ends itself at its first step after its time is over. The watchdog waits so much longer, in s, for that.
GRACE_S = 60.0


@dataclass
class _Watched:
    """A trial that runs: since when, its last sign of life, when that was first seen, and why it was ended."""

    actor: Any
    folder: StageFolder
    spent_s: float
    begun: float
    sign: tuple[int, int]
    changed: float
    verdict: Failure | None = None


class Watchdog:
    """The watchdog over the trials that run.

    Args:
        limits: The spec's.
        kill: Ends a trial's actor, whatever its process does.
        clock: A monotonic clock, in s.
        grace_s: How much longer than `max_time_s` a trial may take to end itself.
    """

    def __init__(
        self,
        limits: Limits,
        kill: Callable[[Any], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        grace_s: float = GRACE_S,
    ) -> None:
        self._limits, self._clock, self._grace_s = limits, clock, grace_s
        self._kill = kill or _kill
        self._bounds_s = [limit for limit in (limits.stall_s, limits.max_time_s) if limit is not None]
        self._interval_s = min([LOOK_S, *(bound / 10 for bound in self._bounds_s)])
        self._next_look = 0.0
        self._watched: dict[StageId, _Watched] = {}

    def began(self, stage: StageId, actor: Any, folder: StageFolder, spent_s: float) -> None:
        """Watch a trial from now on, its start-up included. Its stage has run for `spent_s` in earlier attempts."""
        now = self._clock()
        self._watched[stage] = _Watched(actor, folder, spent_s, begun=now, sign=_sign(folder), changed=now)

    def ended(self, stage: StageId) -> Failure | None:
        """Watch a trial no longer; return the failure for which the watchdog ended it, if it did."""
        watched = self._watched.pop(stage, None)
        return None if watched is None else watched.verdict

    def look(self) -> None:
        """End the trials that must be ended. Call it often: most calls only compare the time."""
        now = self._clock()
        if not self._bounds_s or now < self._next_look:
            return
        self._next_look = now + self._interval_s
        for stage, watched in self._watched.items():
            if watched.verdict is None and (verdict := self._judge(watched, now)) is not None:
                log.warning("%s: %s; its process is killed", stage, verdict.message)
                watched.verdict = verdict
                self._kill(watched.actor)

    def _judge(self, watched: _Watched, now: float) -> Failure | None:
        sign = _sign(watched.folder)
        if sign != watched.sign:
            watched.sign, watched.changed = sign, now
        stall_s, longest_s = self._limits.stall_s, self._limits.max_time_s
        at_work_s = watched.spent_s + now - watched.begun
        if longest_s is not None and at_work_s > longest_s + self._grace_s:
            return Failure.of(FailureType.MAX_TIME, f"{over_time(at_work_s, longest_s)}, and it did not end by itself")
        if stall_s is not None and now - watched.changed > stall_s:
            return Failure.of(FailureType.STALLED, f"the trial made no step for {stall_s:g} s (limits.stall_s)")
        return None


def _sign(folder: StageFolder) -> tuple[int, int]:
    """Return the newest attempt's number and its heartbeat: a new attempt is a sign of life too."""
    try:
        newest = max(folder.attempt_numbers(), default=0)
    except OSError:  # the storage does not answer: that is no sign of life
        return 0, 0
    return newest, last_sign(folder.attempt(newest))


def _kill(actor: Any) -> None:
    # Ray ends a process that does not answer, also a stopped one, by SIGKILL some seconds later.
    with suppress(Exception):
        ray.kill(actor)

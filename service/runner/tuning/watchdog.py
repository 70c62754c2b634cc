"""The driver's watch over its trials: whoever makes no step for too long, or is at work for too long, is ended.

A trial's process may be frozen, or hang in code that never returns to Python, so it cannot watch itself. What is
compared is whether a trial's heartbeat has changed since it was last looked at, by the driver's own clock: the clocks
of nodes do not matter.
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
# A trial ends itself at the first step behind its time; only one that makes none is ended from here.
GRACE_S = 60.0


@dataclass
class _Watched:
    """A trial at work: since when, its last sign of life, when that was seen first, and why it was ended."""

    actor: Any
    folder: StageFolder
    spent_s: float
    begun: float
    sign: tuple[int, int]
    changed: float
    verdict: Failure | None = None


class Watchdog:
    """Looks after the trials at work.

    Args:
        limits: The spec's.
        kill: Ends a trial's actor, whatever its process does.
        clock: Seconds, rising.
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
        """A trial is at work, at a stage that was worked at for `spent_s` before: its start-up counts too."""
        now = self._clock()
        self._watched[stage] = _Watched(actor, folder, spent_s, begun=now, sign=_sign(folder), changed=now)

    def ended(self, stage: StageId) -> Failure | None:
        """A trial is no longer at work; the failure for which it was ended from here, if it was."""
        watched = self._watched.pop(stage, None)
        return None if watched is None else watched.verdict

    def look(self) -> None:
        """End those that are to be ended; to be called again and again, which costs nothing between two looks."""
        now = self._clock()
        if not self._bounds_s or now < self._next_look:
            return
        self._next_look = now + self._interval_s
        for stage, watched in self._watched.items():
            if watched.verdict is None and (verdict := self._judge(watched, now)) is not None:
                log.warning("%s: %s; its process is ended", stage, verdict.message)
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
    """The newest attempt's number and its heartbeat: begun attempts are signs of life too."""
    try:
        newest = max(folder.attempt_numbers(), default=0)
    except OSError:  # the storage is away, which is no sign
        return 0, 0
    return newest, last_sign(folder.attempt(newest))


def _kill(actor: Any) -> None:
    # Ray ends a process that does not answer, a stopped one too, by SIGKILL some seconds later.
    with suppress(Exception):
        ray.kill(actor)

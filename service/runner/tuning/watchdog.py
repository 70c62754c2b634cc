"""The driver's watch over its trials: it ends a trial that makes no step for too long, or runs for too long.

A trial's process may be frozen, or hang in code that never returns to Python, so the process cannot watch itself. The
watchdog looks at each trial's heartbeat, and measures by the driver's own clock how long it has not changed. So the
clocks of the nodes do not matter.
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

# The longest time, in s, between two looks at the heartbeats.
LOOK_S = 30.0
# The time, in s, for which the watchdog waits after limits.max_time_s. It waits because a trial fails by itself at its
# first step after that limit.
GRACE_S = 60.0


@dataclass
class _Watched:
    """A running trial: its start, its last sign of life, the time of that sign, and why it was ended."""

    actor: Any
    folder: StageFolder
    spent_s: float
    start: float
    sign: tuple[int, int] | None
    changed_at: float
    verdict: Failure | None = None


class Watchdog:
    """The watchdog over the trials that run.

    Args:
        limits: The spec's limits.
        kill_actor: Ends a trial's actor, even if its process does not answer.
        clock: A monotonic clock, in s.
        grace_s: The time, in s, after `max_time_s` in which a trial may end by itself.
    """

    def __init__(
        self,
        limits: Limits,
        kill_actor: Callable[[Any], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        grace_s: float = GRACE_S,
    ) -> None:
        self._limits, self._clock, self._grace_s = limits, clock, grace_s
        self._kill = kill_actor or kill
        self._bounds_s = [limit for limit in (limits.stall_s, limits.max_time_s) if limit is not None]
        self._interval_s = min([LOOK_S, *(bound / 10 for bound in self._bounds_s)])
        self._next_look = 0.0
        self._watched: dict[StageId, _Watched] = {}

    def began(self, stage: StageId, actor: Any, folder: StageFolder, spent_s: float) -> None:
        """Watch a trial from now on. Its stage has run for `spent_s` seconds in earlier attempts."""
        now = self._clock()
        self._watched[stage] = _Watched(actor, folder, spent_s, start=now, sign=_sign(folder), changed_at=now)

    def ended(self, stage: StageId) -> Failure | None:
        """Stop watching a trial; return the failure for which the watchdog ended it, or None."""
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
        if sign is not None and sign != watched.sign:
            watched.sign, watched.changed_at = sign, now
        stall_s, longest_s = self._limits.stall_s, self._limits.max_time_s
        run_time_s = watched.spent_s + now - watched.start
        if longest_s is not None and run_time_s > longest_s + self._grace_s:
            return Failure.of(FailureType.MAX_TIME, f"{over_time(run_time_s, longest_s)}, and it did not end by itself")
        if stall_s is not None and now - watched.changed_at > stall_s:
            return Failure.of(FailureType.STALLED, f"the trial made no step for {stall_s:g} s (limits.stall_s)")
        return None


def _sign(folder: StageFolder) -> tuple[int, int] | None:
    """Return the newest attempt's number and its heartbeat: a new attempt is a sign of life too.

    If the storage does not answer, this is no sign of life, and None is returned.
    """
    try:
        newest = max(folder.attempt_numbers(), default=0)
        return newest, last_sign(folder.attempt(newest))
    except OSError:
        return None


def kill(actor: Any) -> None:
    """End a trial's actor, even if its process does not answer."""
    # If the process does not answer, or is stopped, Ray sends SIGKILL some seconds later.
    with suppress(Exception):
        ray.kill(actor)

"""The pace of work, the time left, and durations as people write them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """An estimate of the time left, from the work done since the first call of `left_s` for the same key."""

    clock: Callable[[], float] = time.monotonic
    _first: dict[str, tuple[float, int]] = field(default_factory=dict)

    def left_s(self, key: str, done: int, total: int, *, running: bool = True) -> float | None:
        """Return the seconds until `done` reaches `total`; None as long as no progress has been seen.

        Args:
            key: Names the work, such as a chain's id.
            done: Work done so far, in epochs times T.
            total: The whole work, in the same unit.
            running: Whether the work runs now; the time before the first call with `running` does not count.
        """
        if not running:
            return None
        now = self.clock()
        first_time, first_done = self._first.setdefault(key, (now, done))
        if done <= first_done or now <= first_time:
            return None
        return (total - done) * (now - first_time) / (done - first_done)


def duration(seconds: float | None) -> str:
    """Return a duration as people write it: 8.4 s, 2:05, 3:02:05; "-" if there is none."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

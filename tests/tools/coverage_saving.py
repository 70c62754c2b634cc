"""A plugin of coverage.py that saves the measurements of a running process at intervals.

Without this plugin, a process saves its measurements only when it exits by itself. Ray kills the workers of a job, so
their measurements would be lost.
"""

import threading
import time
from contextlib import suppress
from typing import Any

from coverage import Coverage
from coverage.exceptions import CoverageException

# The first interval, in s, and the longest one: each is twice as long as the one before. Most lines are reached early,
# and a hundred processes that save twice a second would leave the tests no time.
INTERVAL_S, MAX_INTERVAL_S = 0.5, 8.0


def coverage_init(registry: Any, options: Any) -> None:
    """Start to save; coverage.py calls this once in each process that it measures."""
    threading.Thread(target=_save_at_intervals, name="coverage", daemon=True).start()


def _save_at_intervals() -> None:
    interval_s = INTERVAL_S
    while True:
        time.sleep(interval_s)
        interval_s = min(2 * interval_s, MAX_INTERVAL_S)
        measured = Coverage.current()
        if measured is not None:
            with suppress(CoverageException, OSError):
                measured.save()  # writes nothing if no new line was reached

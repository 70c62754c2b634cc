"""A plugin of coverage.py that saves what a process has measured, again and again while it runs.

Otherwise a process saves when it ends, and Ray ends the workers of a job by force.
"""

import threading
import time
from contextlib import suppress
from typing import Any

from coverage import Coverage
from coverage.exceptions import CoverageException

INTERVAL_S = 0.5


def coverage_init(registry: Any, options: Any) -> None:
    """Start to save; coverage.py calls this once in each process that it measures."""
    threading.Thread(target=_save_again_and_again, name="coverage", daemon=True).start()


def _save_again_and_again() -> None:
    while True:
        time.sleep(INTERVAL_S)
        measured = Coverage.current()
        if measured is not None:
            with suppress(CoverageException, OSError):
                measured.save()  # writes nothing if nothing new was reached

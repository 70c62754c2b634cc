"""The end of a benchmark by SIGTERM: it first ends the processes that it has started."""

import signal
import sys
from types import FrameType


def end_tidily() -> None:
    """Turn SIGTERM into an exit that runs every `finally`; otherwise servers and nodes would keep running."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)

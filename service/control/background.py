"""A thread that works in rounds until it is asked to stop."""

import logging
import threading
import time
from abc import ABC, abstractmethod

log = logging.getLogger(__name__)


class BackgroundThread(ABC):
    """A thread, and one round of its work."""

    def __init__(self, name: str, interval_s: float) -> None:
        """Prepare the thread.

        Args:
            name: the name of the thread, also in log lines.
            interval_s: seconds between two rounds.
        """
        self._name, self._interval_s = name, interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._last_sign = time.monotonic()

    @abstractmethod
    def round(self) -> None:
        """Do one round. An exception is logged, and the next round follows."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the thread end after its current step."""
        self._stop.set()

    def ended_within(self, wait_s: float) -> bool:
        """Wait at most `wait_s` for the thread's end; return whether it has ended."""
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether the rest of the round should be skipped."""
        return self._stop.is_set()

    @property
    def silent_s(self) -> float:
        """Seconds since the thread last showed that it does not hang."""
        return time.monotonic() - self._last_sign

    def pause(self, seconds: float) -> None:
        """Wait in the middle of a round; a request to stop ends the wait."""
        self._stop.wait(seconds)

    def give_sign(self) -> None:
        """Show in a long round that the thread does not hang."""
        self._last_sign = time.monotonic()

    def _work(self) -> None:
        while not self.is_asked_to_stop:
            try:
                self.round()
            except Exception:  # a round that fails must not end the service
                log.exception("a round of the %s failed; the next round follows", self._name)
            self.give_sign()
            self._stop.wait(self._interval_s)

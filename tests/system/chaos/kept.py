"""The restart of processes that have died, as systemd, a container engine or an operator would restart them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

# The time, in s, between two checks.
LOOK_EVERY_S = 0.2


class Mortal(Protocol):
    """Something that can die and be started again."""

    name: str

    def start(self) -> None:
        """Start it again."""

    def is_alive(self) -> bool:
        """Return whether it runs."""


@dataclass
class Kept:
    """The thread that starts dead processes again, `delay_s` seconds after it noticed their death."""

    mortals: list[Mortal]
    delay_s: float
    say: Callable[[str], None]
    _dead_since: dict[str, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name="kept", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            for mortal in self.mortals:
                try:
                    self._look_at(mortal)
                except Exception as error:  # the others are still restarted
                    self.say(f"{mortal.name} could not be started: {error}")

    def _look_at(self, mortal: Mortal) -> None:
        if mortal.is_alive():
            self._dead_since.pop(mortal.name, None)
        elif time.monotonic() - self._dead_since.setdefault(mortal.name, time.monotonic()) >= self.delay_s:
            del self._dead_since[mortal.name]
            mortal.start()

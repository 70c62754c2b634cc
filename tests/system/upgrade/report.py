"""The promises, each told in a line as it is looked at."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class Found(NamedTuple):
    """The result of a check.

    Attributes:
        compared: What was compared, in words.
        wrong: All that is not as it should be; empty if the promise was kept.
    """

    compared: str
    wrong: list[str]


@dataclass
class Report:
    """What was kept and what was broken so far."""

    num_kept: int = 0
    broken: list[str] = field(default_factory=list)

    def hold(self, promise: str, check: Callable[[], Found]) -> None:
        """Look at a promise. A check that fails breaks it, and those that follow are looked at all the same."""
        try:
            found = check()
        except Exception as error:
            found = Found("not compared", [f"{type(error).__name__}: {error}"])
        if found.wrong:
            self.broken.append(promise)
        else:
            self.num_kept += 1
        say(f"{'BROKEN' if found.wrong else 'kept  '}  {promise}: {found.compared}")
        for line in found.wrong:
            say(f"        {line}")

    def told(self) -> str:
        """Say how it has ended."""
        if self.broken:
            return f"{len(self.broken)} of {len(self.broken) + self.num_kept} promises were broken"
        return f"all {self.num_kept} promises were kept"


def say(text: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

"""The report: a line for each checked promise."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class Checked(NamedTuple):
    """The result of a check.

    Attributes:
        compared: A description of the compared values.
        wrong: A message for each difference; empty if the promise was kept.
    """

    compared: str
    wrong: list[str]


@dataclass
class Report:
    """The number of kept promises, and the broken ones."""

    num_kept: int = 0
    broken: list[str] = field(default_factory=list)

    def hold(self, promise: str, check: Callable[[], Checked]) -> None:
        """Check a promise and print the result. An error in the check breaks the promise."""
        try:
            checked = check()
        except Exception as error:
            checked = Checked("not compared", [f"{type(error).__name__}: {error}"])
        if checked.wrong:
            self.broken.append(promise)
        else:
            self.num_kept += 1
        say(f"{'BROKEN' if checked.wrong else 'kept  '}  {promise}: {checked.compared}")
        for line in checked.wrong:
            say(f"        {line}")

    def summary(self) -> str:
        """Return the result in one line."""
        if self.broken:
            return f"{len(self.broken)} of {len(self.broken) + self.num_kept} promises were broken"
        return f"all {self.num_kept} promises were kept"


def say(text: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

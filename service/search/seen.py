"""Configurations that a search has proposed, and their outcomes: what it learns from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Seen:
    """A configuration that was proposed before, and its outcome.

    Attributes:
        values: Its values, by place.
        state: "complete": it has an `outcome`; "stopped": it ended early, and has its `progress`; "broken": the network
            diverged or died; "running": it has not ended; "failed": it ended without a result.
        outcome: The value of each goal.
        progress: Validation accuracy, a fraction, by the number of epochs at which it was judged.
    """

    values: Mapping[str, Any]
    state: Literal["complete", "stopped", "broken", "running", "failed"]
    outcome: Sequence[float] = ()
    progress: Mapping[int, float] = field(default_factory=dict)

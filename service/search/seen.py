"""Configurations that a search has proposed, with their outcomes, from which it learns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Seen:
    """A configuration that was proposed before, with its outcome.

    Attributes:
        values: The configuration's values, by place.
        state: "complete": it has an `outcome`; "stopped": it ended early, and has its `progress`; "broken": a trial
            failed because of its values; "running": it has not ended; "failed": it ended without a result.
        outcome: The value of each goal.
        progress: Validation accuracy, a fraction, by the number of epochs at which it was judged.
    """

    values: Mapping[str, Any]
    state: Literal["complete", "stopped", "broken", "running", "failed"]
    outcome: Sequence[float] = ()
    progress: Mapping[int, float] = field(default_factory=dict)

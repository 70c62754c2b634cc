"""What a search that learns has seen: the configurations that it proposed, and what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Seen:
    """A configuration that was proposed before, and what has become of it.

    Attributes:
        values: By place.
        state: "complete", with its `outcome`; "stopped" before its end, with its `progress`; "broken", where the
            network diverged or died; "running" as long as there is no end, and "failed" where there will be none.
        outcome: Of each goal, its value.
        progress: Validation accuracy, a fraction, by the number of epochs when it was looked at.
    """

    values: Mapping[str, Any]
    state: Literal["complete", "stopped", "broken", "running", "failed"]
    outcome: Sequence[float] = ()
    progress: Mapping[int, float] = field(default_factory=dict)

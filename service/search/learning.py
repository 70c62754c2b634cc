"""What a search that learns tries next: a function of its seed and of what it has seen."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from service.search.proposals import NUM_AT_RANDOM, Configuration, drawn
from service.spec.search import Dimension, Search

# What was tried or is refused is proposed anew so often; then one is drawn at random.
MAX_REDRAWS = 20
MAX_REFUSED = 10_000


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


def proposed(
    search: Search,
    space: Mapping[str, Dimension],
    arm: str,
    seen: Sequence[Seen],
    accepted: Callable[[Configuration], bool],
) -> Configuration | None:
    """The next configuration of an arm; the same whenever it is asked for with the same.

    Args:
        search: The search.
        space: The part of its space that makes a difference to the arm.
        arm: The arm's name.
        seen: Its configurations so far, in the order in which they were proposed.
        accepted: Whether one can be run and has not been.

    Returns:
        The configuration; None where none is left.
    """
    if len(seen) >= NUM_AT_RANDOM:
        # Here: Optuna takes a while to load, and the first ones need it not.
        from service.search.tpe import learnt

        for again in range(MAX_REDRAWS):
            configuration = learnt(search, space, f"{search.seed}/{arm}/{len(seen)}/{again}", seen)
            if accepted(configuration):
                return configuration
    at_random = itertools.islice(drawn(space, search.seed), MAX_REFUSED)
    return next((configuration for configuration in at_random if accepted(configuration)), None)

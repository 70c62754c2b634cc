"""What a search that learns tries next: a function of its seed and of what it has seen."""

import itertools
from collections.abc import Callable, Mapping, Sequence

from service.search.proposals import NUM_AT_RANDOM, Configuration, random_configurations
from service.search.seen import Seen
from service.spec.search import Dimension, Search

# What was tried or is refused is proposed anew so often; then one is drawn at random.
MAX_REDRAWS = 20
MAX_REFUSED = 10_000


def next_configuration(
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
        from service.search.tpe import tpe_configuration

        for again in range(MAX_REDRAWS):
            configuration = tpe_configuration(search, space, f"{search.seed}/{arm}/{len(seen)}/{again}", seen)
            if accepted(configuration):
                return configuration
    at_random = itertools.islice(random_configurations(space, search.seed), MAX_REFUSED)
    return next((configuration for configuration in at_random if accepted(configuration)), None)

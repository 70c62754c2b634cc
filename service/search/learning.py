"""The next configuration of a search that learns: a function of the seed and of the configurations so far."""

import itertools
from collections.abc import Callable, Mapping, Sequence

from service.search.proposals import NUM_AT_RANDOM, Configuration, random_configurations
from service.search.seen import Seen
from service.spec.search import Dimension, Search

# Number of proposals of TPE that are tried; if none is accepted, a configuration is drawn at random.
MAX_REDRAWS = 20
# Number of random draws that are tried; if none is accepted, no configuration is left.
MAX_REFUSED = 10_000


def next_configuration(
    search: Search,
    space: Mapping[str, Dimension],
    arm: str,
    seen: Sequence[Seen],
    accepted: Callable[[Configuration], bool],
) -> Configuration | None:
    """Return the next configuration of an arm; the same arguments always give the same one.

    Args:
        search: The search.
        space: The part of the search's space that makes a difference to the arm.
        arm: The arm's name.
        seen: The arm's configurations so far, in the order in which they were proposed.
        accepted: A function that says whether a configuration can be run and is new.

    Returns:
        The configuration, or None if none is left.
    """
    if len(seen) >= NUM_AT_RANDOM:
        # Imported here, since Optuna takes a while to load, and the first configurations do not need it.
        from service.search.tpe import tpe_configuration

        for again in range(MAX_REDRAWS):
            configuration = tpe_configuration(search, space, f"{search.seed}/{arm}/{len(seen)}/{again}", seen)
            if accepted(configuration):
                return configuration
    at_random = itertools.islice(random_configurations(space, search.seed), MAX_REFUSED)
    return next((configuration for configuration in at_random if accepted(configuration)), None)

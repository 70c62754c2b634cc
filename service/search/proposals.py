"""The configurations that a search proposes without learning: each follows from the seed and its number alone."""

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.spec.search import Dimension, Search

Configuration = dict[str, Any]
# Number of random configurations that a search that learns starts with.
NUM_AT_RANDOM = 10
# Bits of a hash that make a random number: as many as the mantissa of a float has.
_BITS = 53


def proposals(search: Search, places: Sequence[str], *, at_most: int | None = None) -> tuple[Configuration, ...]:
    """Return the configurations for some places of a search's space: the whole grid, or the wanted number of draws.

    No two configurations are equal. A draw depends only on the search's seed, the place and the configuration's number.
    A configuration that equals an earlier one is drawn again. If fewer exist than are wanted, all are returned.

    Args:
        search: The search.
        places: The places that make a difference to an arm; without any place, there is one empty configuration.
        at_most: The largest number of configurations to draw; None: all. A grid is always whole.
    """
    space = {place: dimension for place, dimension in search.space.items() if place in places}
    if not space:
        return ({},)
    if search.method == "grid":
        return _shuffled(tuple(_grid(space)), search.seed)
    assert search.num_configurations is not None
    wanted = search.num_configurations if at_most is None else min(at_most, search.num_configurations)
    return tuple(itertools.islice(random_configurations(space, search.seed), wanted))


def num_possible(space: Mapping[str, Dimension]) -> int:
    """Return the number of different configurations; a range of real numbers counts as 2^62 values."""
    return math.prod(2**62 if dimension.size is None else dimension.size for dimension in space.values())


def grid_size(space: Mapping[str, Dimension]) -> int:
    """Return the largest number of configurations of a grid: there are fewer if rounded points of a range are equal."""
    return math.prod(dimension.grid_size for dimension in space.values())


def _grid(space: Mapping[str, Dimension]) -> Iterator[Configuration]:
    for values in itertools.product(*map(_points, space.values())):
        yield dict(zip(space, values, strict=True))


def _shuffled(configurations: tuple[Configuration, ...], seed: int) -> tuple[Configuration, ...]:
    """Return the configurations in an order that depends on the seed.

    In the order of the grid, each configuration may be better than all earlier ones. Early stopping compares it with
    the earlier ones, so it would then stop none.
    """
    keys = [hashlib.sha256(f"{seed}/{number}".encode()).digest() for number in range(len(configurations))]
    return tuple(configurations[number] for number in sorted(range(len(keys)), key=keys.__getitem__))


def _points(dimension: Dimension) -> list[Any]:
    if dimension.choice is not None:
        return list(dimension.choice)
    if dimension.int_range is not None and dimension.points is None:
        return list(range(dimension.int_range[0], dimension.int_range[1] + 1))
    assert dimension.points is not None
    last = dimension.points - 1
    # Use the exact ends, without rounding.
    low, high = dimension.ends
    inner = [_at(dimension, number / last) for number in range(1, last)]
    return list(dict.fromkeys([low, *inner, high]))


def random_configurations(space: Mapping[str, Dimension], seed: int) -> Iterator[Configuration]:
    """Yield random configurations, no two of them equal, until none is left."""
    seen: set[tuple[Any, ...]] = set()
    for number in range(num_possible(space)):
        for again in itertools.count():
            configuration = {place: _draw(each, f"{seed}/{number}/{again}/{place}") for place, each in space.items()}
            if (values := tuple(configuration.values())) not in seen:
                break
        seen.add(values)
        yield configuration


def _draw(dimension: Dimension, key: str) -> Any:
    share = (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> (64 - _BITS)) / 2**_BITS
    if dimension.choice is not None:
        return dimension.choice[int(share * len(dimension.choice))]
    if dimension.int_range is not None:
        low, high = dimension.int_range
        return low + int(share * (high - low + 1))
    return _at(dimension, share)


def _at(dimension: Dimension, share: float) -> Any:
    """Return the value at a share, 0 to 1, of the way from the lower end to the upper end."""
    if dimension.log_range is not None:
        low, high = map(math.log, dimension.log_range)
        return min(max(math.exp(low + share * (high - low)), dimension.log_range[0]), dimension.log_range[1])
    low, high = dimension.ends
    value = low * (1 - share) + high * share
    return round(value) if dimension.int_range is not None else min(max(value, low), high)

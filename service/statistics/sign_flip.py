"""The sign-flip test: a test of paired differences that assumes only that they are symmetric about zero.

Source: Fisher, "The Design of Experiments", 1935, section 21.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Up to this n all 2^n sign patterns count; above it, patterns are drawn.
EXACT_UP_TO = 20
# How many patterns are drawn: the standard error of p = 0.05 is then 0.002. The seed is fixed, so that p is too.
DRAWN, SEED = 10_000, 0
# How many signs are held at once.
_CHUNK = 2_000_000
# Sums that differ by less than this share of the largest sum count as equal: rounding must not separate ties.
_TOLERANCE = 1e-9

Values = NDArray[np.float64]


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the share of all sign patterns whose sum is at least as far from zero as the observed one.

    The pattern without a change counts too, so p is at least `smallest_p(n)`. Above n = 20, p is
    (1 + hits) / (1 + draws).

    Args:
        differences: The differences at n >= 1 seeds.
    """
    values = np.abs(np.asarray(differences, dtype=np.float64))
    observed = abs(float(np.sum(differences))) - _TOLERANCE * float(values.sum())
    if observed <= 0:
        return 1.0
    if len(values) <= EXACT_UP_TO:
        return _exact(values, observed)
    hits = sum(int(np.sum(np.abs(_sums(signs, values)) >= observed)) for signs in _chunks_of_signs(len(values)))
    return (1 + hits) / (1 + DRAWN)


def smallest_p(n: int) -> float:
    """Return the smallest p that the test can give for `n` differences: 2 / 2^n, or 1 for none."""
    return min(1.0, 2.0 ** (1 - n))


def _exact(values: Values, observed: float) -> float:
    """Count the patterns from the sums of both halves: 2 * 2^(n/2) sums stand for 2^n."""
    half = len(values) // 2
    left, right = _all_sums(values[:half]), np.sort(_all_sums(values[half:]))
    above = len(right) - np.searchsorted(right, observed - left, side="left")
    below = np.searchsorted(right, -observed - left, side="right")
    return float(np.sum(above) + np.sum(below)) / (len(left) * len(right))


def _all_sums(values: Values) -> Values:
    """Return the sums of all sign patterns; of no value, the single sum 0."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _chunks_of_signs(n: int) -> Iterator[Values]:
    """Yield the drawn patterns as rows of +1 and -1, in chunks."""
    if n * DRAWN <= _CHUNK:
        yield _signs(n)
        return
    generator, left = np.random.default_rng(SEED), DRAWN
    while left:
        rows = min(left, max(1, _CHUNK // n))
        yield _draw(generator, rows, n)
        left -= rows


def _sums(signs: Values, values: Values) -> Values:
    """Return the sum of each pattern.

    Not `signs @ values`: its threads wait for each other, which takes thirty times as long beside trainings.
    """
    sums: Values = np.einsum("ij,j->i", signs, values)
    return sums


@lru_cache(maxsize=2)  # the arms of an experiment have the same n
def _signs(n: int) -> Values:
    return _draw(np.random.default_rng(SEED), DRAWN, n)


def _draw(generator: np.random.Generator, rows: int, n: int) -> Values:
    return np.where(generator.integers(0, 2, size=(rows, n), dtype=bool), 1.0, -1.0)

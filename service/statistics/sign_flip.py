"""The sign-flip test: a test of paired differences that assumes only that they are symmetric about zero.

Source: Fisher, "The Design of Experiments", 1935, section 21.
"""

from collections.abc import Sequence

import numpy as np

# Up to this n all 2^n sign patterns are tried; above it, patterns are drawn.
EXACT_UP_TO = 20
# The number of drawn patterns, and how many are held at once. The standard error of p = 0.05 is then 0.0007.
DRAWN, CHUNK = 100_000, 10_000
SEED = 0
# Sums that differ by less than this share of the largest sum count as equal: rounding must not separate ties.
_TOLERANCE = 1e-9


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the share of all sign patterns whose sum is at least as far from zero as the observed one.

    The pattern of all signs unchanged counts, so p is at least `smallest_p(n)`. Above n = 20 the patterns are drawn
    with a fixed seed, and p is (1 + hits) / (1 + draws).

    Args:
        differences: The differences at n >= 1 seeds.
    """
    values = np.abs(np.asarray(differences, dtype=np.float64))
    observed = abs(float(np.sum(differences))) - _TOLERANCE * float(values.sum())
    if len(values) <= EXACT_UP_TO:
        return float(np.mean(_all_sums(values) >= observed))
    generator = np.random.default_rng(SEED)
    hits = 0
    for _ in range(DRAWN // CHUNK):
        signs = generator.integers(0, 2, size=(CHUNK, len(values)), dtype=np.int8) * 2 - 1
        hits += int(np.sum(np.abs(signs @ values) >= observed))
    return (1 + hits) / (1 + DRAWN)


def smallest_p(n: int) -> float:
    """Return the smallest p that the test can give for `n` differences: 2 / 2^n, or 1 for none."""
    return min(1.0, 2.0 ** (1 - n))


def _all_sums(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the absolute sums of all patterns in which the first sign is +; the others are their mirror images."""
    sums = values[:1]
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return np.abs(sums)

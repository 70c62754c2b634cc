"""Random draws that depend only on the seed, their purpose and the epoch.

Every draw comes from a generator keyed by (seed, purpose, epoch of the chain). No generator is used for two purposes or
epochs, so neither T, nor the arm, nor a restart can change later draws.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def draw_key(seed: int, purpose: str, epoch: int = 0) -> int:
    """Return a 64-bit key: the first eight bytes of SHA-256 over all arguments. Near seeds give unrelated keys."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def generator(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return a fresh CPU generator for one purpose in one epoch.

    Args:
        seed: The chain's seed.
        purpose: What the draws are for, such as "order" or "validation"; any text.
        epoch: Counted over the whole chain from 1; 0 for draws made once.

    Returns:
        A generator on the CPU, even if a GPU uses the draws: generators of other devices give other bits.
    """
    return torch.Generator().manual_seed(draw_key(seed, purpose, epoch))


def sample(seed: int, purpose: str, total: int, number: int) -> torch.Tensor:
    """Draw `number` of the indices 0 to `total - 1` without replacement.

    Args:
        seed: The chain's seed.
        purpose: The purpose of the draw, as for `generator`.
        total: How many indices there are.
        number: How many of them are drawn.

    Returns:
        `[number]`, int64, in rising order.
    """
    return torch.randperm(total, generator=generator(seed, purpose))[:number].sort().values


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Key torch's global CPU generator by (seed, "init") within this context; restore it at its end."""
    state = torch.random.get_rng_state()
    try:
        torch.random.set_rng_state(generator(seed, "init").get_state())
        yield
    finally:
        torch.random.set_rng_state(state)

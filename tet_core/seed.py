"""Random draws that depend on what they are for, and on nothing else.

Every draw comes from a generator keyed by (seed, purpose, epoch of the chain). No generator runs on from one use to
the next, so neither T, nor the arm, nor a restart can shift the draws of another.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def draw_key(seed: int, purpose: str, epoch: int = 0) -> int:
    """A 64-bit key: the first eight bytes of SHA-256 over the three, so that near seeds give unrelated draws."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def generator(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """A fresh CPU generator for one purpose in one epoch.

    Args:
        seed: The experiment's seed.
        purpose: What the draws are for: "order", "augment", "validation".
        epoch: Counted over the whole chain from 1; 0 for draws made once.

    Returns:
        A generator on the CPU, whatever device the draws are used on: their bits differ between devices.
    """
    return torch.Generator().manual_seed(draw_key(seed, purpose, epoch))


def sample(seed: int, purpose: str, total: int, number: int) -> torch.Tensor:
    """Draw `number` of `total` indices without putting any back: `[number]`, int64, in rising order."""
    return torch.randperm(total, generator=generator(seed, purpose))[:number].sort().values


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Within this context torch's global CPU generator is keyed by (seed, "init"); afterwards it is as it was."""
    state = torch.random.get_rng_state()
    try:
        torch.random.set_rng_state(generator(seed, "init").get_state())
        yield
    finally:
        torch.random.set_rng_state(state)

"""Augmentation of whole batches, on the device they are on, from draws made ahead for the whole epoch.

Each sample's draws are a row of a table that depends on (seed, epoch, sample) alone, so batch size and order cannot
shift them.

Shapes: N samples of the training set, B of a batch, C channels, H and W pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tet_core import seed
from tet_core.config import Crop, Flip

Step = Crop | Flip


def draw(steps: Sequence[Step], num_samples: int, *, seed_: int, epoch: int) -> tuple[Tensor, ...]:
    """Draw an epoch's tables, one for each step.

    Args:
        steps: The augmentation.
        num_samples: N, of the whole training set (validation samples too, so that they shift nothing).
        seed_: The experiment's seed.
        epoch: The chain's epoch, from 1.

    Returns:
        For a crop `[N, 2]`, int64: row and column of its corner in the padded image; for a flip `[N]`, bool.
    """
    generator = seed.generator(seed_, "augment", epoch)
    return tuple(_table(step, num_samples, generator) for step in steps)


def _table(step: Step, num_samples: int, generator: torch.Generator) -> Tensor:
    if isinstance(step, Crop):
        return torch.randint(0, 2 * step.padding + 1, (num_samples, 2), generator=generator)
    return torch.rand(num_samples, generator=generator) < step.p


def apply(steps: Sequence[Step], tables: Sequence[Tensor], indices: Tensor, images: Tensor) -> Tensor:
    """Augment a batch.

    Args:
        steps: The augmentation.
        tables: What `draw` gave, on the images' device.
        indices: `[B]`, int64: which sample of the training set each image is.
        images: `[B, C, H, W]`, not normalised (the padding's 0 is black).

    Returns:
        `[B, C, H, W]`, of the same dtype.
    """
    for step, table in zip(steps, tables, strict=True):
        images = crop(images, step.padding, table[indices]) if isinstance(step, Crop) else flip(images, table[indices])
    return images


def crop(images: Tensor, padding: int, corners: Tensor) -> Tensor:
    """Pad every side with zeros, then cut the old size out at each image's own corner `[B, 2]` (row, column)."""
    num_images, _, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    rows = corners[:, 0, None] + torch.arange(height, device=images.device)
    columns = corners[:, 1, None] + torch.arange(width, device=images.device)
    batch = torch.arange(num_images, device=images.device)
    # Index [B, 1, H, W] of an image laid out channels-last, so that one gather moves every channel.
    return padded.permute(0, 2, 3, 1)[batch[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror left and right the images where `mirrored` `[B]` is true."""
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)

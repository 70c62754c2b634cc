"""Augmentations of events: roll, and NDA, which rolls, rotates or shears. Both move counts and never mix them.

Each pixel of the result has the count of the nearest pixel of the input, or 0 if that pixel lies outside.

Shapes: N samples of the training set, B samples of a batch, C channels (T frames of two polarities), H and W pixels.

Source: Li et al., "Neuromorphic Data Augmentation for Training Spiking Neural Networks", ECCV 2022 (arXiv:2203.06145).
"""

import math

import torch
from torch import Tensor

from tet_core.config import Nda, Roll
from tet_core.data.augment import geometry

_KINDS = 3  # roll, rotation, shear


def draw_roll(step: Roll, num_samples: int, generator: torch.Generator) -> Tensor:
    """Draw how far each sample is shifted, down and to the right: `[N, 2]`, int64."""
    return torch.randint(-step.pixels, step.pixels + 1, (num_samples, 2), generator=generator)


def apply_roll(step: Roll, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Shift every sample by its own draw."""
    return roll(images, rows)


def roll(images: Tensor, shifts: Tensor) -> Tensor:
    """Shift `[B, C, H, W]` by `shifts` `[B, 2]` (down, right); pixels that leave at one side come back at the other."""
    height, width = images.shape[-2:]
    rows = (torch.arange(height, device=images.device) - shifts[:, 0, None]) % height
    columns = (torch.arange(width, device=images.device) - shifts[:, 1, None]) % width
    places = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)[:, None]
    return images.flatten(2).gather(2, places.expand(-1, images.shape[1], -1)).view(images.shape)


def draw_nda(step: Nda, num_samples: int, generator: torch.Generator) -> Tensor:
    """Draw how each sample is moved: `[N, 6]`, float64.

    Columns 0 and 1 are the shift of a roll (down, right), in pixels. Columns 2 to 5 are a matrix, row by row. It maps a
    place (x, y) of the result to the place of the input from which the count comes, both relative to the centre. The
    numbers of all three kinds are drawn for every sample, so that a sample's kind changes no other draw.
    """
    kind = torch.randint(0, _KINDS, (num_samples,), generator=generator)
    shifts = torch.randint(-step.pixels, step.pixels + 1, (num_samples, 2), generator=generator).double()
    turns = torch.rand((num_samples, 2), generator=generator, dtype=torch.float64)
    angle, slant = ((2 * turns - 1) * math.radians(step.degrees)).unbind(1)
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    still = torch.stack([zero, zero, one, zero, zero, one], 1)
    rolled = torch.cat([shifts, still[:, 2:]], 1)
    turned = torch.stack([zero, zero, angle.cos(), angle.sin(), -angle.sin(), angle.cos()], 1)
    sheared = torch.stack([zero, zero, one, slant.tan(), zero, one], 1)
    return torch.stack([rolled, turned, sheared])[kind, torch.arange(num_samples)]


def apply_nda(step: Nda, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Roll, rotate or shear every sample."""
    maps = geometry.about_centre(rows[:, 2:].view(-1, 2, 2), *images.shape[-2:])
    return roll(geometry.warp(images, maps), rows[:, :2].long())

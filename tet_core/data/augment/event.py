"""Augmentations of events that move counts and leave them whole: roll, and one of roll, rotation and shear (NDA).

Each pixel of the result takes the count of one pixel of the input, the nearest. Where that one lies outside, it is 0.

Shapes: N samples of the training set, B samples of a batch, C channels (T frames of two polarities), H and W pixels.

Source: Li et al., "Neuromorphic Data Augmentation for Training Spiking Neural Networks", ECCV 2022 (arXiv:2203.06145).
"""

import math

import torch
from torch import Tensor

from tet_core.config import Nda, Roll

_KINDS = 3  # roll, rotation, shear


def draw_roll(step: Roll, num_samples: int, generator: torch.Generator) -> Tensor:
    """How far each sample is shifted, down and to the right: `[N, 2]`, int64."""
    return torch.randint(-step.pixels, step.pixels + 1, (num_samples, 2), generator=generator)


def apply_roll(step: Roll, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Shift every sample its own way."""
    return roll(images, rows)


def roll(images: Tensor, shifts: Tensor) -> Tensor:
    """Shift `[B, C, H, W]` by `shifts` `[B, 2]` (down, right); what leaves at one side comes back at the other."""
    height, width = images.shape[-2:]
    rows = (torch.arange(height, device=images.device) - shifts[:, 0, None]) % height
    columns = (torch.arange(width, device=images.device) - shifts[:, 1, None]) % width
    return _gather(images, rows[:, :, None] * width + columns[:, None, :])


def draw_nda(step: Nda, num_samples: int, generator: torch.Generator) -> Tensor:
    """What happens to each sample: `[N, 6]`, float64.

    The columns are the shift (down, right) of a roll, and the matrix (row by row) that leads from a pixel of the
    result, seen from the centre, to the one that it takes its count from. All three kinds are drawn for every sample,
    so that which one it gets shifts no other draw.
    """
    kind = torch.randint(0, _KINDS, (num_samples,), generator=generator)
    shifts = torch.randint(-step.pixels, step.pixels + 1, (num_samples, 2), generator=generator).double()
    turns = torch.rand((num_samples, 2), generator=generator, dtype=torch.float64)
    angle, slant = ((2 * turns - 1) * math.radians(step.degrees)).unbind(1)
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    still = torch.stack([zero, zero, one, zero, zero, one], 1)
    rolled = torch.cat([shifts, still[:, 2:]], 1)
    turned = torch.stack([zero, zero, angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1)
    sheared = torch.stack([zero, zero, one, zero, slant.tan(), one], 1)
    return torch.stack([rolled, turned, sheared])[kind, torch.arange(num_samples)]


def apply_nda(step: Nda, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Roll, turn or shear every sample."""
    return roll(turn(images, rows[:, 2:].view(-1, 2, 2)), rows[:, :2].long())


def turn(images: Tensor, matrices: Tensor) -> Tensor:
    """Give each pixel of `[B, C, H, W]` the count of the one nearest to where a matrix leads.

    Args:
        images: The samples.
        matrices: `[B, 2, 2]`, float64: from (row, column) of the result to those of the input, from the centre.
    """
    height, width = images.shape[-2:]
    middle = ((height - 1) / 2, (width - 1) / 2)
    grid = (torch.arange(side, device=images.device, dtype=matrices.dtype) for side in (height, width))
    down, right = (line - centre for line, centre in zip(grid, middle, strict=True))
    # The matrix times (down, right), for every pixel: [B, H, W].
    rows, columns = (
        (matrices[:, axis, 0, None, None] * down[:, None] + matrices[:, axis, 1, None, None] * right + middle[axis])
        .round()
        .long()
        for axis in (0, 1)
    )
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    places = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    return _gather(images, places) * inside[:, None].to(images.dtype)


def _gather(images: Tensor, places: Tensor) -> Tensor:
    """`[B, C, H, W]` with the pixel at `places` `[B, H, W]`, counted along the rows, at every pixel."""
    index = places.flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).view(images.shape)

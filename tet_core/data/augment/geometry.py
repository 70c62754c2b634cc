"""Augmentations that move pixels and leave their values alone.

Shapes: N samples of the training set, B images of a batch, C channels, H and W pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from tet_core.config import Crop, Flip


def draw_crop(step: Crop, num_samples: int, generator: torch.Generator) -> Tensor:
    """Row and column of each sample's corner in the padded image: `[N, 2]`, int64."""
    return torch.randint(0, 2 * step.padding + 1, (num_samples, 2), generator=generator)


def apply_crop(step: Crop, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Crop every image at its own corner."""
    return crop(images, step.padding, rows)


def crop(images: Tensor, padding: int, corners: Tensor) -> Tensor:
    """Pad every side with zeros, then cut the old size out at each image's own corner `[B, 2]` (row, column)."""
    num_images, _, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    rows = corners[:, 0, None] + torch.arange(height, device=images.device)
    columns = corners[:, 1, None] + torch.arange(width, device=images.device)
    batch = torch.arange(num_images, device=images.device)
    # Index [B, 1, H, W] of an image laid out channels-last, so that one gather moves every channel.
    return padded.permute(0, 2, 3, 1)[batch[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def draw_flip(step: Flip, num_samples: int, generator: torch.Generator) -> Tensor:
    """Which samples are mirrored: `[N]`, bool."""
    return torch.rand(num_samples, generator=generator) < step.p


def apply_flip(step: Flip, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Mirror the images that were drawn."""
    return flip(images, rows)


def flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror left and right the images where `mirrored` `[B]` is true."""
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def centre_crop(images: Tensor, size: int) -> Tensor:
    """The middle `size` x `size` pixels of images that are larger; others as they are."""
    top, left = ((side - size) // 2 if side > size else 0 for side in images.shape[-2:])
    return images[..., top : top + size, left : left + size]

"""Augmentations that move, stretch or cover pixels.

Shapes: N samples of the training set, B images of a batch, C channels, H and W pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from tet_core.config import Crop, Cutout, Flip, ResizedCrop


def draw_crop(step: Crop, num_samples: int, generator: torch.Generator) -> Tensor:
    """Draw row and column of the corner of each sample's crop, in the padded image: `[N, 2]`, int64."""
    return torch.randint(0, 2 * step.padding + 1, (num_samples, 2), generator=generator)


def apply_crop(step: Crop, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Crop every image at its own corner."""
    return crop(images, step.padding, rows)


def crop(images: Tensor, padding: int, corners: Tensor) -> Tensor:
    """Pad every side with zeros, then crop to the old size at each image's corner `[B, 2]` (row, column)."""
    num_images, _, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    rows = corners[:, 0, None] + torch.arange(height, device=images.device)
    columns = corners[:, 1, None] + torch.arange(width, device=images.device)
    batch = torch.arange(num_images, device=images.device)
    # The images are indexed as channels-last, so that one gather moves all channels.
    return padded.permute(0, 2, 3, 1)[batch[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def draw_flip(step: Flip, num_samples: int, generator: torch.Generator) -> Tensor:
    """Draw which samples are mirrored: `[N]`, bool."""
    return torch.rand(num_samples, generator=generator) < step.p


def apply_flip(step: Flip, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Mirror the images that were drawn."""
    return flip(images, rows)


def flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror left and right the images where `mirrored` `[B]` is true."""
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def centre_crop(images: Tensor, size: int) -> Tensor:
    """Return the middle `size` x `size` pixels of larger images; return smaller images unchanged."""
    top, left = ((side - size) // 2 if side > size else 0 for side in images.shape[-2:])
    return images[..., top : top + size, left : left + size]


def draw_resized_crop(step: ResizedCrop, num_samples: int, generator: torch.Generator) -> Tensor:
    """Draw each sample's rectangle, `[N, 4]`: width, height as shares of the image; left, top as shares of the rest."""
    uniform = torch.rand((num_samples, 4), generator=generator)
    area = step.min_area + uniform[:, 0] * (1 - step.min_area)
    aspect = step.max_aspect ** (2 * uniform[:, 1] - 1)
    width, height = (area * aspect).sqrt().clamp_(max=1), (area / aspect).sqrt().clamp_(max=1)
    return torch.stack((width, height, uniform[:, 2], uniform[:, 3]), 1)


def apply_resized_crop(step: ResizedCrop, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Stretch each image's rectangle to `size` x `size`: images bilinearly, counts by the nearest pixel."""
    width, height, left, top = (column[:, None] for column in rows.unbind(1))
    centres = (torch.arange(size, device=images.device) + 0.5) / size
    x, y = left * (1 - width) + centres * width, top * (1 - height) + centres * height  # [B, size], from 0 to 1
    shape = (len(images), size, size)
    grid = torch.stack((x[:, None, :].expand(shape), y[:, :, None].expand(shape)), -1) * 2 - 1
    mode = "bilinear" if images.dtype == torch.uint8 else "nearest"
    out = functional.grid_sample(images.float(), grid, mode=mode, padding_mode="border", align_corners=False)
    return out.round_().to(images.dtype)


def draw_cutout(step: Cutout, num_samples: int, generator: torch.Generator) -> Tensor:
    """Draw the centre of each sample's square as shares of the image: `[N, 2]`, row and column."""
    return torch.rand((num_samples, 2), generator=generator)


def apply_cutout(step: Cutout, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Set each image's square, as far as it lies within the image, to 0."""
    inside = []
    for length, share in zip(images.shape[-2:], rows.unbind(1), strict=True):
        start = (share * length).long() - step.size // 2
        offset = torch.arange(length, device=images.device) - start[:, None]
        inside.append((offset >= 0) & (offset < step.size))
    square = inside[0][:, :, None] & inside[1][:, None, :]
    return images.masked_fill(square[:, None], 0)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Move pixels by an affine map to the nearest pixel; pixels from outside are 0.

    Args:
        images: `[B, C, H, W]`, of any dtype: values are moved, not mixed.
        matrices: `[B, 2, 3]`, float64: for each image the map from places of the result `(x, y, 1)` to places of the
            image, both in pixels, with the centre of the first pixel at (0.5, 0.5).

    Returns:
        `[B, C, H, W]`.
    """
    height, width = images.shape[-2:]
    y, x = (torch.arange(length, dtype=torch.float64, device=images.device) + 0.5 for length in (height, width))
    shape = (height, width)
    places = torch.stack((x.expand(shape), y[:, None].expand(shape), torch.ones_like(x).expand(shape)))
    source = torch.einsum("bij,jhw->bihw", matrices, places).floor_().long()
    column, row = source.unbind(1)
    outside = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    index = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).flatten(1)[:, None]
    moved = images.flatten(2).gather(2, index.expand(-1, images.shape[1], -1)).view_as(images)
    return moved.masked_fill(outside[:, None], 0)


def about_centre(matrices: Tensor, height: int, width: int) -> Tensor:
    """Return linear maps `[B, 2, 2]`, float64, as maps around the image's centre, in the form of `warp`."""
    centre = torch.tensor((width / 2, height / 2), dtype=torch.float64, device=matrices.device)
    return torch.cat((matrices, (centre - matrices @ centre)[:, :, None]), 2)

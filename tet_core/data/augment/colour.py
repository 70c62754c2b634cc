"""AutoAugment: 25 pairs of operations, of which each image gets one pair, on whole batches of still images.

The operations give the same values as Pillow's; a test compares them.

Shapes: B images, C channels (3: colour, 1: grey), H and W pixels; values are uint8.

Source: Cubuk et al., "AutoAugment: Learning Augmentation Strategies from Data", CVPR 2019, the policy for CIFAR-10.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tet_core.config import AutoAugment
from tet_core.data.augment.geometry import about_centre, warp

# Each pair is two operations, each with its probability and its magnitude from 0 to 9 (None: no magnitude).
POLICY = (
    (("invert", 0.1, None), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, None), ("equalize", 0.9, None)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("colour", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, None), ("equalize", 0.5, None)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("colour", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, None), ("autocontrast", 0.4, None)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("colour", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, None)),
    (("equalize", 0.2, None), ("autocontrast", 0.6, None)),
    (("equalize", 0.2, None), ("equalize", 0.6, None)),
    (("colour", 0.9, 9), ("equalize", 0.6, None)),
    (("autocontrast", 0.8, None), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("colour", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, None)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, None), ("solarize", 0.8, 3)),
    (("equalize", 0.8, None), ("invert", 0.1, None)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, None)),
)
_MAX_MAGNITUDE = 9


def draw_autoaugment(step: AutoAugment, num_samples: int, generator: torch.Generator) -> Tensor:
    """Draw `[N, 5]`, float32 from 0 to 1: which pair, whether each of its operations is done, and the sign of each."""
    return torch.rand((num_samples, 5), generator=generator)


def apply_autoaugment(step: AutoAugment, images: Tensor, rows: Tensor, size: int) -> Tensor:
    """Apply each image's pair, for all images with the same pair at once."""
    images = images.clone()
    which = (rows[:, 0] * len(POLICY)).long()
    for number, pair in enumerate(POLICY):
        for place, (name, probability, magnitude) in enumerate(pair):
            chosen = ((which == number) & (rows[:, 1 + place] < probability)).nonzero().flatten()
            if len(chosen):
                signs = torch.where(rows[chosen, 3 + place] < 0.5, -1.0, 1.0)
                images[chosen] = OPERATIONS[name](images[chosen], (magnitude or 0) / _MAX_MAGNITUDE, signs)
    return images


def invert(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Return 255 - value."""
    return 255 - images


def solarize(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Invert values of at least 255 * (1 - level)."""
    return torch.where(images >= round(255 * (1 - level)), 255 - images, images)


def posterize(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Keep the upper 8 - round(4 * level) bits."""
    return images & (0xFF << round(4 * level) & 0xFF)


def brightness(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Move the values away from black, or towards it."""
    return _blend(torch.zeros_like(images), images, level, signs)


def contrast(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Move the values away from the mean grey of each image, or towards it."""
    mean = (luma(images).double().mean((1, 2, 3)) + 0.5).floor()
    return _blend(mean[:, None, None, None].to(images.dtype).expand_as(images), images, level, signs)


def colour(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Move the values away from grey, or towards it; grey images do not change."""
    return _blend(luma(images).expand_as(images), images, level, signs)


def sharpness(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Move the values away from a blurred image, or towards it; the outermost pixels stay."""
    kernel = torch.ones((1, 1, 3, 3), dtype=torch.float32, device=images.device)
    kernel[..., 1, 1] = 5
    sums = functional.conv2d(images.flatten(0, 1)[:, None].float(), kernel)
    blurred = images.clone()
    blurred[..., 1:-1, 1:-1] = (sums / 13 + 0.5).floor().to(images.dtype).view_as(blurred[..., 1:-1, 1:-1])
    return _blend(blurred, images, level, signs)


def _blend(base: Tensor, images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Return `base + (1 + sign * 0.9 * level) * (images - base)`, clipped to 0 to 255 and cut to whole numbers."""
    factor = (1 + signs * 0.9 * level)[:, None, None, None]
    mixed = base.float() + factor * (images.float() - base.float())
    return mixed.clamp_(0, 255).to(images.dtype)


def luma(images: Tensor) -> Tensor:
    """Return grey `[B, 1, H, W]` by ITU-R 601-2, in integers as in Pillow."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor((19595, 38470, 7471), device=images.device)
    mixed = (images.long() * weights[:, None, None]).sum(1, keepdim=True) + 0x8000 >> 16
    return mixed.to(images.dtype)


def autocontrast(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Stretch each channel so that its darkest value is 0 and its brightest 255."""
    low, high = (extreme(images.flatten(2), 2) for extreme in (torch.amin, torch.amax))
    flat = high <= low
    scale = 255 / (high.double() - low.double()).masked_fill(flat, 1)
    scale, offset = scale.masked_fill(flat, 1), (-low.double() * scale).masked_fill(flat, 0)
    stretched = images.double() * scale[:, :, None, None] + offset[:, :, None, None]
    return stretched.clamp_(0, 255).to(images.dtype)


def equalize(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Spread each channel's values so that all are nearly equally frequent."""
    values = images.flatten(2).long()
    counts = torch.zeros((*values.shape[:2], 256), dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    brightest = values.amax(2, keepdim=True)
    step = (values.shape[2] - counts.gather(2, brightest)) // 255
    before = counts.cumsum(2) - counts
    table = (step // 2 + before) // step.clamp(min=1)
    identity = torch.arange(256, device=images.device).expand_as(table)
    table = torch.where(step > 0, table.clamp(0, 255), identity)
    return table.gather(2, values).to(images.dtype).view_as(images)


def rotate(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Rotate by up to 30 degrees around the centre, counterclockwise if the sign is positive."""
    angles = signs.double() * math.radians(30 * level)
    cos, sin = angles.cos(), angles.sin()
    matrices = torch.stack((torch.stack((cos, -sin), 1), torch.stack((sin, cos), 1)), 1)
    return warp(images, about_centre(matrices, *images.shape[-2:]))


def shear_y(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Shift columns by up to 0.3 of their distance from the first one."""
    matrices = _identity(images)
    matrices[:, 1, 0] = 0.3 * level * signs.double()
    return warp(images, matrices)


def translate_x(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Shift sideways by up to 150/331 of the width."""
    matrices = _identity(images)
    matrices[:, 0, 2] = images.shape[-1] * 150 / 331 * level * signs.double()
    return warp(images, matrices)


def translate_y(images: Tensor, level: float, signs: Tensor) -> Tensor:
    """Shift up or down by up to 150/331 of the height."""
    matrices = _identity(images)
    matrices[:, 1, 2] = images.shape[-2] * 150 / 331 * level * signs.double()
    return warp(images, matrices)


def _identity(images: Tensor) -> Tensor:
    return torch.eye(2, 3, dtype=torch.float64, device=images.device).repeat(len(images), 1, 1)


# Arguments: images `[B, C, H, W]`, a level from 0 to 1, and a sign for each image, `[B]`. Not all operations use both.
OPERATIONS: dict[str, Callable[[Tensor, float, Tensor], Tensor]] = {
    operation.__name__: operation
    for operation in (
        invert,
        solarize,
        posterize,
        brightness,
        contrast,
        colour,
        sharpness,
        autocontrast,
        equalize,
        rotate,
        shear_y,
        translate_x,
        translate_y,
    )
}

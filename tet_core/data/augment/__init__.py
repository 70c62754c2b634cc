"""Augmentation of whole batches, on the batch's device. The random draws are made before each epoch.

A step's table has one row of draws for each sample. The row depends only on (seed, step, epoch, sample), not on the
batch size, the order or the other steps. So arms that have the same step get the same draws for this step.

Shapes: N samples of the training set, B samples of a batch, C channels, H and W pixels. Frames of events,
`[B, T, C, H, W]`, are augmented as images of T * C channels, so that all frames of a recording change in the same way.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tet_core import seed
from tet_core.config import AugmentationStep, AutoAugment, Crop, Cutout, Flip, Nda, ResizedCrop, Roll
from tet_core.data.augment import colour, event, geometry


class _Operation(NamedTuple):
    """A step's functions. `draw` returns a table `[N, ...]`; `apply` changes images `[B, C, H, W]` by their rows."""

    draw: Callable[[Any, int, torch.Generator], Tensor]
    apply: Callable[[Any, Tensor, Tensor, int], Tensor]


_OPERATIONS: dict[type[AugmentationStep], _Operation] = {
    Crop: _Operation(geometry.draw_crop, geometry.apply_crop),
    Flip: _Operation(geometry.draw_flip, geometry.apply_flip),
    ResizedCrop: _Operation(geometry.draw_resized_crop, geometry.apply_resized_crop),
    Cutout: _Operation(geometry.draw_cutout, geometry.apply_cutout),
    AutoAugment: _Operation(colour.draw_autoaugment, colour.apply_autoaugment),
    Roll: _Operation(event.draw_roll, event.apply_roll),
    Nda: _Operation(event.draw_nda, event.apply_nda),
}


def draw(steps: Sequence[AugmentationStep], num_samples: int, *, seed_: int, epoch: int) -> tuple[Tensor, ...]:
    """Draw an epoch's tables, one for each step.

    Args:
        steps: The augmentation.
        num_samples: N: the size of the training set with its validation samples, so that their number changes no draw.
        seed_: The experiment's seed.
        epoch: The chain's epoch, from 1.

    Returns:
        A tensor `[N, ...]` for each step, on the CPU; its content depends on the step.
    """
    seen: Counter[str] = Counter()
    tables = []
    for step in steps:
        seen[step.name] += 1
        generator = seed.generator(seed_, f"augment {step.name} {seen[step.name]}", epoch)
        tables.append(_OPERATIONS[type(step)].draw(step, num_samples, generator))
    return tuple(tables)


def apply(
    steps: Sequence[AugmentationStep], tables: Sequence[Tensor], indices: Tensor, images: Tensor, size: int
) -> Tensor:
    """Augment a batch.

    Args:
        steps: The augmentation.
        tables: The result of `draw`, on the images' device.
        indices: `[B]`, int64: the index of each image in the training set.
        images: `[B, C, H, W]` or `[B, T, C, H, W]`, not normalised, so that padding with 0 is black.
        size: H = W of the result; images that are larger after all steps are cropped to their centre.

    Returns:
        `[B, C, size, size]` or `[B, T, C, size, size]`, of the same dtype.
    """
    shape = images.shape
    images = images.flatten(1, -3)
    for step, table in zip(steps, tables, strict=True):
        images = _OPERATIONS[type(step)].apply(step, images, table[indices], size)
    images = geometry.centre_crop(images, size)
    return images.view(*shape[:-2], *images.shape[-2:]) if len(shape) > 4 else images

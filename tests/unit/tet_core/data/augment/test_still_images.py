"""Tests of augmentations of batches: each agrees with its definition, AutoAugment's operations with Pillow's."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from tests.unions import members
from tet_core.config import AugmentationStep, AutoAugment, Crop, Cutout, Flip, Nda, ResizedCrop, Roll
from tet_core.data import augment
from tet_core.data.augment import colour, geometry

STEPS: list[AugmentationStep] = [
    Crop(padding=2),
    Flip(),
    ResizedCrop(),
    Cutout(size=5),
    AutoAugment(),
    Roll(),
    Nda(),
]


def photographs(number: int = 3, size: int = 32) -> Tensor:
    """Return images with structure: smooth gradients, an edge, some noise."""
    draw = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size] / size
    made = []
    for _ in range(number):
        base = 200 * np.stack([x * draw.random() + y * draw.random() for _ in range(3)]) / 2
        base += 40 * (x + y > draw.random() * 2) + draw.integers(0, 16, (3, size, size))
        made.append(base.clip(0, 255).astype(np.uint8))
    return torch.from_numpy(np.stack(made))


def to_pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy()) if len(image) == 3 else Image.fromarray(image[0].numpy())


def from_pillow(image: Image.Image) -> Tensor:
    values = torch.from_numpy(np.array(image))
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)


def test_every_step_is_tested_here() -> None:
    assert [type(step) for step in STEPS] == [*members(AugmentationStep)]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_batch_size_and_order_change_no_sample(step: AugmentationStep) -> None:
    images = photographs(8)
    tables = augment.draw((step,), 8, seed_=1, epoch=2)
    whole = augment.apply((step,), tables, torch.arange(8), images, 32)
    order = torch.tensor([5, 0, 7, 2])
    assert torch.equal(augment.apply((step,), tables, order, images[order], 32), whole[order])
    assert (whole.dtype, whole.shape) == (torch.uint8, images.shape)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_every_step_accepts_one_grey_channel(step: AugmentationStep) -> None:
    images = photographs(16)[:, :1]
    tables = augment.draw((step,), 16, seed_=1, epoch=2)
    assert augment.apply((step,), tables, torch.arange(16), images, 32).shape == images.shape


def test_the_draws_of_a_step_do_not_depend_on_the_other_steps() -> None:
    alone = augment.draw((Flip(),), 50, seed_=4, epoch=1)[0]
    beside = augment.draw((AutoAugment(), Cutout(), Flip()), 50, seed_=4, epoch=1)[2]
    assert torch.equal(alone, beside)
    twice = augment.draw((Flip(), Flip()), 50, seed_=4, epoch=1)
    assert torch.equal(twice[0], alone)
    assert not torch.equal(twice[1], alone)


def test_images_larger_than_the_input_are_cropped_to_their_centre() -> None:
    images = torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6)
    assert torch.equal(augment.apply((), (), torch.tensor([0]), images, 4), images[..., 1:5, 1:5])


def test_frames_of_a_recording_are_augmented_alike() -> None:
    frames = torch.randint(0, 9, (2, 3, 2, 8, 8), dtype=torch.int16)
    tables = (torch.tensor([True, False]),)
    flipped = augment.apply((Flip(),), tables, torch.arange(2), frames, 8)
    assert torch.equal(flipped[0], frames[0].flip(-1))
    assert torch.equal(flipped[1], frames[1])


def test_a_whole_rectangle_is_the_image_itself() -> None:
    images = photographs()
    rows = torch.tensor([[1.0, 1.0, 0.3, 0.8]]).expand(3, 4)
    assert torch.equal(geometry.apply_resized_crop(ResizedCrop(), images, rows, 32), images)


def test_a_rectangle_is_stretched_as_bilinear_interpolation_does() -> None:
    images = photographs()
    rows = torch.tensor([[0.5, 0.25, 0.5, 1.0]]).expand(3, 4)  # 16 wide from column 8, 8 high from row 24
    found = geometry.apply_resized_crop(ResizedCrop(), images, rows, 32)
    exact = torch.nn.functional.interpolate(images[..., 24:32, 8:24].float(), (32, 32), mode="bilinear")
    inner = (..., slice(4, -4), slice(2, -2))  # at the edges the crop uses neighbouring pixels of the image
    torch.testing.assert_close(found[inner].float(), exact[inner], rtol=0, atol=0.51)


def test_rectangles_stay_inside_the_image_and_within_the_area_and_aspect_of_the_step() -> None:
    step = ResizedCrop(min_area=0.2, max_aspect=2.0)
    rows = augment.draw((step,), 5_000, seed_=0, epoch=1)[0]
    width, height = rows[:, 0], rows[:, 1]
    assert float(rows.min()) >= 0
    assert float(rows.max()) <= 1
    assert float((width * height).min()) >= 0.14  # the area is smaller if a side was cut to the image
    assert float((width / height).max()) <= 2.0 + 1e-6


def test_a_cutout_is_a_square_that_the_edge_may_cut() -> None:
    images = torch.full((3, 2, 8, 8), 7, dtype=torch.uint8)
    rows = torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.99, 0.5]])
    black = geometry.apply_cutout(Cutout(size=4), images, rows, 8) == 0
    assert black.sum((1, 2, 3)).tolist() == [2 * 16, 2 * 4, 2 * 12]
    assert black[0, 1, 2:6, 2:6].all()


def _enhanced(enhance: type) -> object:
    return lambda image, level, sign: enhance(image).enhance(1 + sign * 0.9 * level)


PILLOW = {
    "invert": lambda image, level, sign: ImageOps.invert(image),
    "solarize": lambda image, level, sign: ImageOps.solarize(image, round(255 * (1 - level))),
    "posterize": lambda image, level, sign: ImageOps.posterize(image, 8 - round(4 * level)),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "colour": _enhanced(ImageEnhance.Color),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "autocontrast": lambda image, level, sign: ImageOps.autocontrast(image),
    "equalize": lambda image, level, sign: ImageOps.equalize(image),
    "rotate": lambda image, level, sign: image.rotate(sign * 30 * level),
    "shear_y": lambda image, level, sign: image.transform(
        image.size, Image.Transform.AFFINE, (1, 0, 0, sign * 0.3 * level, 1, 0)
    ),
    "translate_x": lambda image, level, sign: image.transform(
        image.size, Image.Transform.AFFINE, (1, 0, sign * image.size[0] * 150 / 331 * level, 0, 1, 0)
    ),
    "translate_y": lambda image, level, sign: image.transform(
        image.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, sign * image.size[1] * 150 / 331 * level)
    ),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0.0, 3 / 9, 7 / 9, 1.0])
@pytest.mark.parametrize("name", sorted(colour.OPERATIONS))
def test_an_operation_gives_the_same_image_as_pillow(name: str, level: float, channels: int) -> None:
    images = photographs()[:, :channels]
    signs = torch.tensor([1.0, -1.0, 1.0])
    found = colour.OPERATIONS[name](images, level, signs)
    operation: object = PILLOW[name]
    assert callable(operation)
    expected = [from_pillow(operation(to_pillow(x), level, float(s))) for x, s in zip(images, signs, strict=True)]
    difference = (found.int() - torch.stack(expected).int()).abs()
    if name == "rotate":  # on the border between two pixels, rounding decides which is the nearest
        assert float((difference > 0).float().mean()) < 0.01
    else:
        assert int(difference.max()) <= 1


def test_every_operation_of_the_policy_exists_and_all_pairs_are_drawn() -> None:
    assert len(colour.POLICY) == 25
    assert {name for pair in colour.POLICY for name, _, _ in pair} == set(colour.OPERATIONS)
    rows = augment.draw((AutoAugment(),), 2_000, seed_=0, epoch=1)[0]
    assert set((rows[:, 0] * 25).long().tolist()) == set(range(25))


def test_an_image_gets_the_pair_that_it_draws() -> None:
    images = photographs(25)
    rows = torch.tensor([[(place + 0.5) / 25, 0.0, 0.0, 0.0, 1.0] for place in range(25)])
    found = colour.apply_autoaugment(AutoAugment(), images, rows, 32)
    for place, ((first, p, m), (second, q, n)) in enumerate(colour.POLICY):
        expected = images[place : place + 1]
        for name, probability, magnitude, sign in ((first, p, m, -1.0), (second, q, n, 1.0)):
            if probability > 0:
                expected = colour.OPERATIONS[name](expected, (magnitude or 0) / 9, torch.tensor([sign]))
        assert torch.equal(found[place : place + 1], expected), place
    never = torch.tensor([[0.01, 0.99, 0.99, 0.0, 0.0]]).expand(25, 5)
    assert torch.equal(colour.apply_autoaugment(AutoAugment(), images, never, 32), images)

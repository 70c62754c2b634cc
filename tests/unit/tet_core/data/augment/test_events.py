"""Tests of Roll and NDA: counts stay integers, each sample has its own draws, and batches change no sample."""

import math

import pytest
import torch

from tests.unions import members
from tet_core.config import AugmentationStep, Nda, Roll
from tet_core.data import augment
from tet_core.data.augment import event

SIZE = 12


def frames(num_samples: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 1000, (num_samples, 3, 2, SIZE, SIZE), generator=generator).to(torch.int16)


def augmented(step: AugmentationStep, samples: torch.Tensor, indices: torch.Tensor, epoch: int = 1) -> torch.Tensor:
    tables = augment.draw([step], len(samples), seed_=0, epoch=epoch)
    return augment.apply([step], tables, indices, samples[indices], SIZE)


@pytest.mark.parametrize(
    "step", [Roll(pixels=40), *(member() for member in members(AugmentationStep) if member.fits_events)]
)
def test_batches_and_order_change_no_sample(step: AugmentationStep) -> None:
    samples = frames(20)
    whole = augmented(step, samples, torch.arange(20))
    assert (whole.shape, whole.dtype) == (samples.shape, torch.int16)
    shuffled = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    for indices in (*torch.split(shuffled, 3), torch.tensor([7])):
        assert torch.equal(augmented(step, samples, indices), whole[indices])
    assert not torch.equal(whole, augmented(step, samples, torch.arange(20), epoch=2))


def test_a_roll_is_torchs_own_and_all_frames_roll_alike() -> None:
    samples, step = frames(30), Roll(pixels=5)
    (table,) = augment.draw([step], 30, seed_=0, epoch=1)
    found = augmented(step, samples, torch.arange(30))
    for sample, shift, rolled in zip(samples, table.tolist(), found, strict=True):
        assert torch.equal(rolled, sample.roll(shift, (-2, -1)))
    assert (int(table.min()), int(table.max())) == (-5, 5)


def test_nda_draws_each_kind_for_about_a_third_of_the_samples() -> None:
    table = event.draw_nda(Nda(pixels=3, degrees=30), 3000, torch.Generator().manual_seed(0))
    is_turned = table[:, 4] != 0
    is_sheared = (table[:, 3] != 0) & ~is_turned
    for share in (is_turned, is_sheared, ~(is_turned | is_sheared)):
        assert 900 < int(share.sum()) < 1100
    assert table[:, :2].abs().max() == 3
    assert math.sin(math.radians(29)) < float(table[is_turned, 3].abs().max()) <= math.sin(math.radians(30))
    assert math.tan(math.radians(29)) < float(table[is_sheared, 3].abs().max()) <= math.tan(math.radians(30))


def nda_of(sample: torch.Tensor, row: list[float]) -> torch.Tensor:
    return event.apply_nda(Nda(), sample[None], torch.tensor([row], dtype=torch.float64), sample.shape[-1])[0]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotations_turn_clockwise_around_the_centre(turns: int) -> None:
    sample = frames(1)[0].flatten(0, 1)
    sine, cosine = math.sin(math.radians(90 * turns)), math.cos(math.radians(90 * turns))
    assert torch.equal(nda_of(sample, [0, 0, cosine, sine, -sine, cosine]), sample.rot90(-turns, (-2, -1)))


def test_a_shear_shifts_each_row_by_its_distance_from_the_centre() -> None:
    sample = torch.arange(25).view(1, 5, 5).to(torch.int16)
    assert nda_of(sample, [0, 0, 1, 1, 0, 1])[0].tolist() == [
        [0, 0, 0, 1, 2],
        [0, 5, 6, 7, 8],
        [10, 11, 12, 13, 14],
        [16, 17, 18, 19, 0],
        [22, 23, 24, 0, 0],
    ]


def test_counts_stay_integers_and_come_from_the_sample() -> None:
    samples = frames(60)
    for sample, found in zip(samples, augmented(Nda(), samples, torch.arange(60)), strict=True):
        assert set(found.flatten().tolist()) <= {0, *sample.flatten().tolist()}

"""Tests of the order, augmentation and split of the training set."""

import pytest
import torch
from torch import Tensor

from tet_core.config import Crop, Flip
from tet_core.data import augment, load_dataset
from tet_core.data.augment import geometry
from tet_core.data.loader import TrainLoader, split_validation
from tet_core.errors import ConfigError


def loader(
    *, batch_size: int = 100, seed: int = 0, members: Tensor | None = None, augmented: bool = True
) -> TrainLoader:
    dataset = load_dataset("digits")
    return TrainLoader(
        dataset,
        torch.arange(len(dataset.train)) if members is None else members,
        batch_size=batch_size,
        steps=(Crop(padding=1), Flip()) if augmented else (),
        seed=seed,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def samples(of: TrainLoader, epoch: int) -> Tensor:
    return torch.cat([batch.images for batch in of.epoch(epoch)])


def test_an_epoch_shows_every_sample_once() -> None:
    dataset = load_dataset("digits")
    unchanged = loader(augmented=False)
    assert sorted(unchanged.order(1).tolist()) == list(range(1442))
    assert [len(batch.labels) for batch in unchanged.epoch(1)] == [100] * 14 + [42]
    batch = next(iter(unchanged.epoch(1)))
    indices = unchanged.order(1)[:100]
    assert torch.equal(batch.images, dataset.normalise(dataset.train.take(indices), torch.float32))
    assert torch.equal(batch.labels, dataset.train.labels[indices])


def test_batch_size_does_not_change_the_samples_of_an_epoch() -> None:
    assert torch.equal(samples(loader(batch_size=100), 3), samples(loader(batch_size=7), 3))


def test_epochs_and_seeds_differ() -> None:
    first = samples(loader(), 1)
    assert not torch.equal(first, samples(loader(), 2))
    assert not torch.equal(first, samples(loader(seed=1), 1))
    assert torch.equal(first, samples(loader(), 1))


def test_leaving_samples_out_keeps_the_order_and_the_augmentation_of_the_others() -> None:
    members = torch.arange(0, 1442, 2)
    part, whole = loader(members=members), loader()
    is_even = whole.order(5) % 2 == 0
    assert torch.equal(part.order(5), whole.order(5)[is_even])
    assert torch.equal(samples(part, 5), samples(whole, 5)[is_even])


def test_a_crop_pads_with_zeros_and_cuts_at_its_corner() -> None:
    images = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3).repeat(3, 2, 1, 1)
    cropped = geometry.crop(images, 1, torch.tensor([[1, 1], [0, 0], [2, 1]]))
    assert torch.equal(cropped[0], images[0])
    assert cropped[1, 1].tolist() == [[0, 0, 0], [0, 1, 2], [0, 4, 5]]
    assert cropped[2, 0].tolist() == [[4, 5, 6], [7, 8, 9], [0, 0, 0]]


def test_a_flip_mirrors_left_and_right() -> None:
    images = torch.arange(4).view(1, 1, 2, 2).repeat(2, 1, 1, 1)
    flipped = geometry.flip(images, torch.tensor([True, False]))
    assert flipped[:, 0].tolist() == [[[1, 0], [3, 2]], [[0, 1], [2, 3]]]


def test_draws_cover_every_corner_and_flip_about_half_of_the_images() -> None:
    corners, mirrored = augment.draw((Crop(padding=2), Flip(p=0.5)), 2000, seed_=0, epoch=1)
    assert {tuple(corner) for corner in corners.tolist()} == {(i, j) for i in range(5) for j in range(5)}
    assert 900 < int(mirrored.sum()) < 1100
    never, always = augment.draw((Flip(p=0), Flip(p=1)), 100, seed_=0, epoch=1)
    assert not never.any()
    assert always.all()


def test_the_validation_set_is_stratified_seeded_and_disjoint() -> None:
    labels = load_dataset("digits").train.labels
    train, validation = split_validation(labels, 0.1, 0)
    assert sorted([*train.tolist(), *validation.tolist()]) == list(range(len(labels)))
    for label in range(10):
        assert int((labels[validation] == label).sum()) == round(0.1 * int((labels == label).sum()))
    assert torch.equal(validation, split_validation(labels, 0.1, 0)[1])
    assert not torch.equal(validation, split_validation(labels, 0.1, 1)[1])
    assert len(split_validation(labels, 0.0, 0)[1]) == 0


def test_a_part_of_the_training_set_is_stratified_too_and_a_larger_part_contains_it() -> None:
    labels = load_dataset("digits").train.labels
    train, validation = split_validation(labels, 0.2, 0, part=0.5)
    used = [*train.tolist(), *validation.tolist()]
    assert len(used) == len(set(used))
    for label in range(10):
        num_used = round(0.5 * int((labels == label).sum()))
        assert int((labels[used] == label).sum()) == num_used
        assert int((labels[validation] == label).sum()) == round(0.2 * num_used)
    more_trained, more_validated = split_validation(labels, 0.2, 0, part=0.7)
    assert set(train.tolist()) <= set(more_trained.tolist())
    assert set(validation.tolist()) <= set(more_validated.tolist())
    assert not set(train.tolist()) & set(split_validation(labels, 0.2, 0)[1].tolist())
    with pytest.raises(ConfigError, match=r"validation is 0\.1; with train_part 0\.001, of 1442 samples this"):
        split_validation(labels, 0.1, 0, part=0.001)


def test_an_empty_validation_or_training_set_is_refused() -> None:
    labels = torch.arange(10)
    with pytest.raises(ConfigError, match=r"validation is 0\.1; of 10 samples this leaves 10 to train on and 0 to"):
        split_validation(labels, 0.1, 0)
    with pytest.raises(ConfigError, match=r"validation is 0\.9; of 10 samples this leaves 0 to train on"):
        split_validation(labels, 0.9, 0)

"""Tests of the digits data set."""

import pytest
import torch
from sklearn.datasets import load_digits

from tet_core.config import Digits
from tet_core.data import Dataset, Split, load_dataset
from tet_core.data.dataset import DataError, check_against_card
from tet_core.errors import ConfigError


@pytest.fixture
def digits() -> Dataset:
    return load_dataset("digits")


def test_digits_matches_its_card(digits: Dataset) -> None:
    card = Digits().card()
    assert (len(digits.train), len(digits.test)) == (card.num_train, card.num_test) == (1442, 355)
    images = digits.train.take(torch.arange(1442))
    assert images.shape == (1442, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert digits.train.labels.dtype == torch.int64
    assert "scikit-learn" in digits.source


def test_the_test_set_is_the_last_fifth_of_each_class_in_file_order(digits: Dataset) -> None:
    raw = load_digits()
    for label in range(10):
        members = torch.from_numpy(raw.images[raw.target == label]).to(torch.uint8)
        num_test = len(members) // 5
        of_class = [
            split.take((split.labels == label).nonzero().flatten())[:, 0] for split in (digits.train, digits.test)
        ]
        assert torch.equal(of_class[0], members[: len(members) - num_test])
        assert torch.equal(of_class[1], members[len(members) - num_test :])


def test_the_normalised_training_set_has_mean_0_and_std_1(digits: Dataset) -> None:
    x = digits.normalise(digits.train.take(torch.arange(1442)), torch.float64)
    assert float(x.mean()) == pytest.approx(0, abs=1e-4)
    assert float(x.std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_a_larger_size_repeats_every_pixel() -> None:
    small, large = (load_dataset(Digits(input_size=size)).test.take(torch.arange(3)) for size in (8, 32))
    assert large.shape == (3, 1, 32, 32)
    assert torch.equal(large[:, :, 1::4, 3::4], small)
    assert torch.equal(large[:, :, ::4, 2::4], small)


def test_the_content_of_digits_never_changes(digits: Dataset) -> None:
    assert digits.digest == "90839c909d3892fe5f343cd27f1b27cbae85a79615a258d643e8e00fcc1e26b3"


def test_a_data_set_that_differs_from_its_card_is_refused(digits: Dataset) -> None:
    card = Digits().card().model_copy(update={"num_test": 356})
    with pytest.raises(DataError, match=r"digits: the test set has images \(355, 1, 8, 8\).*expected \(356, 1, 8, 8\)"):
        check_against_card(digits, card)
    wrong = Split(digits.train.take(torch.arange(1442)), digits.train.labels + 1)
    with pytest.raises(DataError, match=r"labels outside 0 to 9"):
        check_against_card(Dataset("digits", 10, 1, 8, (0.0,), (1.0,), wrong, digits.test, "a test"), Digits().card())


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"dataset is 'mnist'; known are digits, fashion_mnist, cifar10, "):
        load_dataset("mnist")


def test_the_facts_about_the_data_count_the_test_set_and_its_largest_class(digits: Dataset) -> None:
    labels = digits.test.labels.tolist()
    assert digits.facts == {
        "name": "digits",
        "digest": digits.digest,
        "source": digits.source,
        "num_classes": 10,
        "num_test": 355,
        "num_test_majority": max(labels.count(digit) for digit in range(10)),
    }

"""Tests of the comparison of accuracies with chance."""

import pytest
from scipy import stats

from service.answers.chances import AgainstChance, chance_in_a_word, chance_in_words
from service.chance import against_chance, binomial_interval, chance_level
from service.events import ClassCounts

# scikit-learn's digits: 355 test samples, of which the largest class has 37.
DIGITS = ClassCounts(num_samples=355, num_classes=10, num_majority=37)


@pytest.mark.parametrize("num_correct", [0, 1, 5, 9, 10])
def test_the_interval_is_that_of_clopper_and_pearson(num_correct: int) -> None:
    expected = stats.binomtest(num_correct, 10).proportion_ci(0.95, method="exact")
    assert binomial_interval(num_correct / 10, 10) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_chance_is_the_larger_of_guessing_and_of_always_answering_the_largest_class() -> None:
    assert chance_level(DIGITS) == 37 / 355
    # Guessing gives 1/2 here, and the largest class has a larger share.
    assert chance_level(ClassCounts(num_samples=10, num_classes=2, num_majority=9)) == 0.9
    assert chance_level(ClassCounts(num_samples=3, num_classes=2, num_majority=2)) == 2 / 3


def test_an_accuracy_of_the_largest_class_alone_cannot_be_told_from_chance() -> None:
    assert against_chance(37 / 355, DIGITS).verdict is AgainstChance.ALIKE
    # With two classes, 61 % looks learnt, but the largest class has 60 % of the samples.
    assert against_chance(0.61, ClassCounts(num_samples=1_000, num_classes=2, num_majority=600)).verdict == "alike"
    assert against_chance(0.65, ClassCounts(num_samples=1_000, num_classes=2, num_majority=600)).verdict == "above"


def test_few_samples_prove_little() -> None:
    assert against_chance(0.5, ClassCounts(num_samples=4, num_classes=10, num_majority=1)).verdict == "alike"
    assert against_chance(0.5, ClassCounts(num_samples=4_000, num_classes=10, num_majority=400)).verdict == "above"
    assert against_chance(1.0, ClassCounts(num_samples=1, num_classes=10, num_majority=1)).verdict == "alike"


def test_an_accuracy_no_better_than_chance_is_put_in_words() -> None:
    alike, below, above = (against_chance(accuracy, DIGITS) for accuracy in (0.0958, 0.01, 0.9))
    assert chance_in_words(alike) == (
        "cannot be distinguished from chance, 10.42 % (95 % interval over 355 test samples: 6.73 to 13.13 %)"
    )
    assert chance_in_words(below).startswith("is below chance, 10.42 % (95 % interval over 355 test samples: ")
    assert [chance_in_words(above), chance_in_words(None)] == ["", ""]
    words = [chance_in_a_word(each) for each in (alike, below, above, None)]
    assert words == ["(chance 10.42)", "(below chance 10.42)", "", ""]

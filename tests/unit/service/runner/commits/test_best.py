"""Tests of the choice of a stage's best epoch."""

import pytest

from service.runner.commits.best import best_commit, best_key
from service.runner.commits.records import Commit


def commits(key: str, *accuracies: float) -> list[Commit]:
    return [
        Commit(
            epoch=epoch,
            epochs=9,
            attempt=1,
            at_ms=epoch,
            metrics={"test/accuracy": 1 / epoch, key: accuracy},
            checkpoint="x",
            weights_sha256="x",
        )
        for epoch, accuracy in enumerate(accuracies, 1)
    ]


@pytest.mark.parametrize(("accuracies", "best"), [([0.1, 0.9, 0.5], 2), ([0.5, 0.9, 0.9], 2), ([0.0], 1)])
def test_without_a_validation_set_the_earliest_best_test_epoch_is_chosen(accuracies: list[float], best: int) -> None:
    stored = commits("test/accuracy", *accuracies)
    assert best_key(stored) == "test/accuracy"
    assert best_commit(stored).epoch == best


def test_with_a_validation_set_the_test_accuracy_does_not_count() -> None:
    stored = commits("val/accuracy", 0.1, 0.2, 0.3)  # the test accuracy falls
    assert best_key(stored) == "val/accuracy"
    assert best_commit(stored).epoch == 3

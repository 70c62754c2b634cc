"""Which epoch is the best, and by what."""

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
def test_without_a_validation_set_it_is_the_earliest_best_test_epoch(accuracies: list[float], best: int) -> None:
    found = commits("test/accuracy", *accuracies)
    assert best_key(found) == "test/accuracy"
    assert best_commit(found).epoch == best


def test_with_a_validation_set_the_test_set_chooses_nothing() -> None:
    found = commits("val/accuracy", 0.1, 0.2, 0.3)  # while the test accuracy falls
    assert best_key(found) == "val/accuracy"
    assert best_commit(found).epoch == 3

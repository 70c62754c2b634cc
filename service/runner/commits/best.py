"""The best epoch of a stage, and the metric that decides it."""

from collections.abc import Sequence

from service.runner.commits.records import Commit


def best_commit(commits: Sequence[Commit]) -> Commit:
    """Return the earliest commit with the best accuracy, on the validation set if there is one, else on the test set.

    The paper chooses its best epoch on the test set. If this is done, names of results contain `best_test_epoch`.
    """
    key = best_key(commits)
    return max(commits, key=lambda commit: (commit.metrics[key], -commit.epoch))


def best_key(commits: Sequence[Commit]) -> str:
    """Return the metric that decides which commit is the best."""
    return "val/accuracy" if "val/accuracy" in commits[0].metrics else "test/accuracy"

"""Which epoch of a stage is its best, and by what."""

from collections.abc import Sequence

from service.runner.commits.records import Commit


def best_commit(commits: Sequence[Commit]) -> Commit:
    """The epoch of the best accuracy, the earliest of equals: by `val/` where there is one, else the best test epoch.

    The latter is the paper's habit, and goes by that name wherever it is shown.
    """
    key = best_key(commits)
    return max(commits, key=lambda commit: (commit.metrics[key], -commit.epoch))


def best_key(commits: Sequence[Commit]) -> str:
    """The metric that "best" goes by."""
    return "val/accuracy" if "val/accuracy" in commits[0].metrics else "test/accuracy"

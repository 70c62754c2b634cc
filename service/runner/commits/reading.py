"""Functions that read the committed state of a stage from its folder."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from service.events import ClassCounts
from service.runner.commits.records import AttemptStart, Commit, Done
from service.states import WorkState
from service.storage import StageFolder, numbered


@dataclass(frozen=True)
class StageProgress:
    """The committed state of a stage. `num_attempts` counts every attempt, also one without a start record."""

    folder: StageFolder
    commits: tuple[Commit, ...] = ()
    done: Done | None = None
    started: tuple[AttemptStart, ...] = field(default=())
    num_attempts: int = 0

    @property
    def last(self) -> Commit | None:
        """The newest commit."""
        return self.commits[-1] if self.commits else None

    @property
    def test_set(self) -> ClassCounts | None:
        """The counts of the test set, by the newest attempt that recorded them."""
        return next((start.test_set for start in reversed(self.started) if start.test_set is not None), None)

    @property
    def train_time_s(self) -> float:
        """The training time of the committed epochs, in s."""
        return sum(commit.metrics.get("epoch_time_s", 0.0) for commit in self.commits)

    def checkpoint(self, commit: Commit) -> Path:
        """Return the path of a commit's checkpoint."""
        return self.folder.path / commit.checkpoint


def read_commits(folder: StageFolder, after: int = 0) -> list[Commit]:
    """Return the commits after epoch `after`, in order, up to the first gap; see `StageFolder.committed`."""
    return [Commit.model_validate_json(folder.commit(number).read_bytes()) for number in folder.committed(after)]


def read_progress(folder: StageFolder, generation: int = 1) -> StageProgress:
    """Return the committed state of a stage, as the experiment's `generation` sees it."""
    # The marker is read first, so that all commits before it are visible.
    done = read_done(folder, generation)
    commits, started = tuple(read_commits(folder)), tuple(read_started(folder))
    is_short = not commits or commits[-1].epoch < commits[-1].epochs
    if is_short and done is not None and done.state is WorkState.SUCCEEDED:
        done = None  # the listing is older than the marker: the next read sees both
    return StageProgress(folder, commits, done, started, len(folder.attempt_numbers()))


def read_done(folder: StageFolder, generation: int) -> Done | None:
    """Return the end of a stage: a success in this or an earlier generation, or a failure in this one."""
    done = None
    for number in range(1, generation + 1):
        marker = folder.done(number)
        done = Done.model_validate_json(marker.read_bytes()) if marker.exists() else None
        if done is not None and done.state is WorkState.SUCCEEDED:
            break
    return done


def read_started(folder: StageFolder) -> list[AttemptStart]:
    """Return the start record of each attempt that wrote one."""
    files = (folder.attempt(number) / "started.json" for number in numbered(folder.attempts))
    return [AttemptStart.model_validate_json(file.read_bytes()) for file in files if file.exists()]


def spent_s(started: Iterable[AttemptStart], commits: Iterable[Commit], generation: int | None = None) -> float:
    """Return how long a stage's attempts ran, in s, each from its start to its last commit.

    Args:
        started: The start records of the stage.
        commits: The commits of the stage.
        generation: The generation whose attempts count; None: all.
    """
    last: dict[int, int] = {}
    for commit in commits:
        last[commit.attempt] = commit.at_ms
    starts = [each for each in started if generation in (None, each.generation)]
    # Both times of an attempt come from the same clock. `max`, because the clock may have been set back.
    return sum(max(0, last.get(each.attempt, each.at_ms) - each.at_ms) for each in starts) / 1_000

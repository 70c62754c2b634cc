"""The committed state of a stage, as it is read from its folder."""

from dataclasses import dataclass, field
from pathlib import Path

from service.runner.commits.records import AttemptStart, Commit, Done, commit_name
from service.storage import StageFolder, numbered


@dataclass(frozen=True)
class StageProgress:
    """What is committed of a stage, read from storage; `num_attempts` counts those that were begun."""

    folder: StageFolder
    commits: tuple[Commit, ...] = ()
    done: Done | None = None
    started: tuple[AttemptStart, ...] = field(default=())
    num_attempts: int = 0

    @property
    def last(self) -> Commit | None:
        """The newest committed epoch."""
        return self.commits[-1] if self.commits else None

    @property
    def train_time_s(self) -> float:
        """Training time of the committed epochs."""
        return sum(commit.metrics.get("epoch_time_s", 0.0) for commit in self.commits)

    def checkpoint(self, commit: Commit) -> Path:
        """Where the checkpoint of an epoch lies."""
        return self.folder.path / commit.checkpoint


def read_commits(folder: StageFolder, after: int = 0) -> list[Commit]:
    """The committed epochs behind `after`, in order, without a gap.

    A listing that is made while two epochs are committed may hold the second and lack the first (POSIX leaves that
    open, and NFS makes use of it): what lies behind a gap is left for the next time.
    """
    numbers = [number for number in committed_epochs(folder.commits) if number > after]
    return [
        Commit.model_validate_json((folder.commits / commit_name(number)).read_bytes())
        for expected, number in enumerate(numbers, after + 1)
        if number == expected
    ]


def read_progress(folder: StageFolder, generation: int = 1) -> StageProgress:
    """All that is committed of a stage, as the experiment's `generation` sees it."""
    # The marker is read first: whoever sees it sees every commit before it.
    done = read_done(folder, generation)
    commits, started = tuple(read_commits(folder)), tuple(read_started(folder))
    if done is not None and done.state == "succeeded" and (not commits or commits[-1].epoch < commits[-1].epochs):
        done = None  # a listing that is behind the marker: both are seen the next time, and none without the other
    return StageProgress(folder, commits, done, started, len(folder.attempt_numbers()))


def read_done(folder: StageFolder, generation: int) -> Done | None:
    """The end of a stage: a success of any generation so far, or a failure of this one."""
    done = None
    for number in range(1, generation + 1):
        marker = folder.done(number)
        done = Done.model_validate_json(marker.read_bytes()) if marker.exists() else None
        if done is not None and done.state == "succeeded":
            break
    return done


def read_started(folder: StageFolder) -> list[AttemptStart]:
    """What each attempt that got as far as beginning wrote then."""
    files = (folder.attempt(number) / "started.json" for number in numbered(folder.attempts))
    return [AttemptStart.model_validate_json(file.read_bytes()) for file in files if file.exists()]


def committed_epochs(folder: Path) -> list[int]:
    """The epochs that have a commit."""
    try:
        return sorted(int(file.stem) for file in folder.iterdir() if file.suffix == ".json" and file.stem.isdigit())
    except FileNotFoundError:
        return []

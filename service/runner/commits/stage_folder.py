"""The rules by which attempts at one stage write, so that nothing is lost or doubled whoever is killed.

Each attempt writes in a folder of its own, made by exclusive mkdir. An epoch is committed by link(2) of the
attempt's epoch file, which names the checkpoint, the metrics and the time, to `commits/<epoch>.json`: the first
to link owns the epoch, and whoever comes second stops. A stage ends by a link of the same kind, `done.json`. Where
it failed and the experiment was begun anew, the next generation has a marker of its own; a success stands for all.
"""

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from service.failures import Told
from service.runner.failures import os_errors
from service.storage import StageFolder, numbered
from tet_core.files import link_once, sync_folder, write_atomic


class Superseded(Exception):  # noqa: N818 - no error: the other attempt goes on
    """Another attempt owns this stage now; this one has to stop."""


class Record(BaseModel):
    """Base of what lies in a stage folder as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Started(Record):
    """What an attempt knew when it began: `started.json`."""

    attempt: int
    at_ms: int
    host: str
    resumed_epoch: int
    initial_sha256: str
    environment: dict[str, str | int | bool]
    dataset: dict[str, str | int]
    num_parameters: int
    generation: int = 1


class Layer(Record):
    """How a layer of neurons was after an epoch; see `tet_core.measure.layer_health.LayerHealth`."""

    firing_rate: float
    gradient: float


class Commit(Record):
    """One epoch of a training, or one row of an analysis: the journal line.

    `checkpoint` is the file that it left, a path relative to the stage folder: a checkpoint, or the row's records.
    `step` is where its metrics stand on the x axis; None: at `epoch`. `layers` says how each layer of neurons was, by
    its name; what earlier versions wrote about layers is passed over.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: int
    epochs: int
    attempt: int
    at_ms: int
    metrics: dict[str, float]
    checkpoint: str
    weights_sha256: str
    step: int | None = None
    layers: dict[str, Layer] = {}


class Done(Record):
    """The end of a stage: the completion marker. `state` is succeeded or failed; `failure` says why.

    Where a search has stopped it, it is stopped, by the search's journal, and has no marker.
    """

    state: str
    attempt: int
    at_ms: int
    failure: Told | None = None


@dataclass(frozen=True)
class Progress:
    """What is committed of a stage, read from storage; `num_attempts` counts those that were begun."""

    folder: StageFolder
    commits: tuple[Commit, ...] = ()
    done: Done | None = None
    started: tuple[Started, ...] = field(default=())
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
    numbers = [number for number in numbered_files(folder.commits) if number > after]
    return [
        Commit.model_validate_json((folder.commits / commit_name(number)).read_bytes())
        for expected, number in enumerate(numbers, after + 1)
        if number == expected
    ]


def read_progress(folder: StageFolder, generation: int = 1) -> Progress:
    """All that is committed of a stage, as the experiment's `generation` sees it."""
    # The marker is read first: whoever sees it sees every commit before it.
    done = _read_done(folder, generation)
    commits, started = tuple(read_commits(folder)), tuple(read_started(folder))
    if done is not None and done.state == "succeeded" and (not commits or commits[-1].epoch < commits[-1].epochs):
        done = None  # a listing that is behind the marker: both are seen the next time, and none without the other
    return Progress(folder, commits, done, started, len(folder.attempt_numbers()))


def _read_done(folder: StageFolder, generation: int) -> Done | None:
    """The end of a stage: a success of any generation so far, or a failure of this one."""
    done = None
    for number in range(1, generation + 1):
        marker = folder.done(number)
        done = Done.model_validate_json(marker.read_bytes()) if marker.exists() else None
        if done is not None and done.state == "succeeded":
            break
    return done


def read_started(folder: StageFolder) -> list[Started]:
    """What each attempt that got as far as beginning wrote then."""
    files = (folder.attempt(number) / "started.json" for number in numbered(folder.attempts))
    return [Started.model_validate_json(file.read_bytes()) for file in files if file.exists()]


def commit_name(epoch: int) -> str:
    """File name of an epoch's commit."""
    return f"{epoch:06d}.json"


def numbered_files(folder: Path) -> list[int]:
    """The epochs that have a commit."""
    try:
        return sorted(int(file.stem) for file in folder.iterdir() if file.suffix == ".json" and file.stem.isdigit())
    except FileNotFoundError:
        return []


class Attempt:
    """One attempt at a stage: the only one that writes in its folder."""

    def __init__(self, folder: StageFolder, generation: int = 1) -> None:
        """Make the attempt's folder, numbered one above the newest, for a generation of the experiment."""
        folder.attempts.mkdir(parents=True, exist_ok=True)
        folder.commits.mkdir(exist_ok=True)
        self.folder = folder
        self.generation = generation
        self.number = _exclusive_number(folder)
        self.path = folder.attempt(self.number)

    def write_started(self, **values: Any) -> Started:
        """Write what this attempt knew when it began."""
        started = Started(attempt=self.number, host=socket.gethostname(), generation=self.generation, **values)
        write_atomic(self.path / "started.json", _json(started))
        return started

    def checkpoint_path(self, epoch: int) -> Path:
        """Where this attempt's checkpoint of an epoch lies."""
        return self.path / f"epoch-{epoch:06d}.pt"

    def row_path(self, row: int) -> Path:
        """Where this attempt's records of a row lie."""
        return self.path / f"row-{row:06d}.json"

    def commit(
        self,
        *,
        epoch: int,
        epochs: int,
        at_ms: int,
        metrics: Mapping[str, float],
        weights_sha256: str,
        file: Path | None = None,
        step: int | None = None,
        layers: Mapping[str, Layer] | None = None,
    ) -> Commit:
        """Own an epoch, or a row. Its file has to be on disk before; None: the epoch's checkpoint.

        Raises:
            Superseded: another attempt owns the epoch, or a newer attempt has begun.
        """
        self.check_newest()
        checkpoint = str((file or self.checkpoint_path(epoch)).relative_to(self.folder.path))
        commit = Commit(
            epoch=epoch,
            epochs=epochs,
            attempt=self.number,
            at_ms=at_ms,
            metrics=dict(metrics),
            checkpoint=checkpoint,
            weights_sha256=weights_sha256,
            step=step,
            layers=dict(layers or {}),
        )
        name = commit_name(epoch)
        write_atomic(self.path / name, _json(commit))
        _own(self.path / name, self.folder.commits / name)
        return commit

    def finish(self, *, state: str, at_ms: int, failure: dict[str, Any] | None = None) -> Done:
        """Write the completion marker.

        Raises:
            Superseded: another attempt ended the stage, or a newer one has begun.
        """
        self.check_newest()
        done = Done(state=state, attempt=self.number, at_ms=at_ms, failure=failure)
        write_atomic(self.path / "done.json", _json(done))
        _own(self.path / "done.json", self.folder.done(self.generation))
        return done

    def check_newest(self) -> None:
        """Stop early where a newer attempt has begun; the links alone would be enough to keep the journal right.

        Raises:
            Superseded: there is a newer attempt.
        """
        newest = numbered(self.folder.attempts)[-1]
        if newest != self.number:
            raise Superseded(f"attempt {newest} has taken over from attempt {self.number} at {self.folder.path}")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Take a file that cannot be written or found for what it is where a newer attempt has begun: its doing.

        Raises:
            Superseded: in place of an OSError and of what came of one, if there is a newer attempt.
        """
        try:
            yield
        except Exception as error:
            if any(os_errors(error)):
                self.check_newest()
            raise

    @contextmanager
    def ending(self, *files: str) -> Iterator[None]:
        """Within this context the attempt writes what a stage leaves at its end, and then the completion marker.

        What an attempt wrote that came to no marker is removed once there is one. Until then it stays: a late attempt
        may find the stage ended by an older one, whose files are then the stage's.

        Args:
            files: Names of what is written.

        Raises:
            Superseded: there is a newer attempt, or one that was faster.
        """
        self.check_newest()
        if (done := _read_done(self.folder, self.generation)) is not None:
            raise Superseded(f"attempt {done.attempt} has ended the stage at {self.folder.path}")
        try:
            yield
        except Superseded:
            _remove(self.path, files)
            raise
        owner = _read_done(self.folder, self.generation)
        for number in self.folder.attempt_numbers():
            if owner is not None and number != owner.attempt and number <= self.number:
                _remove(self.folder.attempt(number), files)

    def prune(self, keep: set[str]) -> None:
        """Delete this and older attempts' checkpoints, except those in `keep` (paths relative to the stage folder).

        Of older ones what a kill left half-written goes too.
        """
        for number in self.folder.attempt_numbers():
            if number > self.number:
                continue
            files = [*self.folder.attempt(number).glob("epoch-*.pt")]
            if number < self.number:
                files += self.folder.attempt(number).glob(".*.tmp")
            for file in files:
                if str(file.relative_to(self.folder.path)) not in keep:
                    file.unlink(missing_ok=True)


def _exclusive_number(folder: StageFolder) -> int:
    number = 1 + max(folder.attempt_numbers(), default=0)
    while True:
        try:
            folder.attempt(number).mkdir()
            sync_folder(folder.attempts)
            return number
        except FileExistsError:
            number += 1


def _own(source: Path, target: Path) -> None:
    if not link_once(source, target):
        raise Superseded(f"{target} was committed by another attempt")


def _remove(folder: Path, files: Iterable[str]) -> None:
    for name in files:
        (folder / name).unlink(missing_ok=True)


def _json(record: BaseModel) -> bytes:
    return json.dumps(record.model_dump(mode="json"), ensure_ascii=False).encode() + b"\n"

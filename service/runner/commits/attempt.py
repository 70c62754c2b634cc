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
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from service.failures import Failure
from service.runner.commits.reading import read_done
from service.runner.commits.records import AttemptStart, Commit, Done, Layer, commit_name
from service.runner.diagnosis import os_errors
from service.storage import StageFolder, numbered
from tet_core.files import link_once, sync_folder, write_atomic


class Superseded(Exception):  # noqa: N818 - no error: the other attempt goes on
    """Another attempt owns this stage now; this one has to stop."""


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

    def write_started(self, **values: Any) -> AttemptStart:
        """Write what this attempt knew when it began."""
        started = AttemptStart(attempt=self.number, host=socket.gethostname(), generation=self.generation, **values)
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

    def finish(self, *, state: str, at_ms: int, failure: Failure | None = None) -> Done:
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
        if (done := read_done(self.folder, self.generation)) is not None:
            raise Superseded(f"attempt {done.attempt} has ended the stage at {self.folder.path}")
        try:
            yield
        except Superseded:
            _remove(self.path, files)
            raise
        owner = read_done(self.folder, self.generation)
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

"""The rules by which attempts at one stage write, so that no epoch is lost or doubled when one of them is killed.

Each attempt writes in a folder of its own: mkdir fails if the folder exists. To commit an epoch, the attempt writes an
epoch file there, which has the checkpoint's path, the metrics and the time. Then it links this file, with link(2), to
`commits/<epoch>.json`. The first attempt to link owns the epoch; any other attempt stops. A link of the same kind,
`done.json`, ends a stage. If the stage failed and the experiment is retried, the next generation has a marker of its
own. A success is valid for all generations.
"""

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from service.failures import Failure
from service.runner.commits.reading import read_done
from service.runner.commits.records import AttemptStart, Commit, Done, EndState, Layer
from service.runner.diagnosis import os_errors
from service.sample_bits import SampleBits
from service.storage import StageFolder, numbered
from tet_core.files import link_once, sync_folder, write_atomic


class Superseded(Exception):  # noqa: N818 - no error: the other attempt continues
    """The sign that another attempt owns the stage, so that this attempt has to stop."""


class Attempt:
    """One attempt at a stage. Nothing else writes in its folder."""

    def __init__(self, folder: StageFolder, generation: int = 1) -> None:
        """Make the attempt's folder, with the next free number."""
        folder.attempts.mkdir(parents=True, exist_ok=True)
        folder.commits.mkdir(exist_ok=True)
        self.folder = folder
        self.generation = generation
        self.number = _exclusive_number(folder)
        self.path = folder.attempt(self.number)

    def write_started(self, **values: Any) -> AttemptStart:
        """Write and return the record of this attempt's start."""
        started = AttemptStart(attempt=self.number, host=socket.gethostname(), generation=self.generation, **values)
        write_atomic(self.path / "started.json", _json(started))
        return started

    def checkpoint_path(self, epoch: int) -> Path:
        """Return the path of this attempt's checkpoint of an epoch."""
        return self.path / f"epoch-{epoch:06d}.pt"

    def row_path(self, row: int) -> Path:
        """Return the path of this attempt's records of a row."""
        return self.path / f"row-{row:06d}.json"

    def write_sample_bits(self, epoch: int, is_correct: NDArray[np.bool_]) -> Path:
        """Write which test samples were classified correctly after an epoch, and return the file. A commit must follow.

        Args:
            epoch: The epoch.
            is_correct: `[N]`, in the order of the test set.
        """
        path = self.path / f"sample-bits-{epoch:06d}.json"
        write_atomic(path, _json(SampleBits.of(is_correct)), sync_entry=False)
        return path

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
        sample_bits: Path | None = None,
    ) -> Commit:
        """Commit an epoch or a row.

        Its `file` (None: the epoch's checkpoint) and its `sample_bits`, if it has any, must already be on disk, in this
        attempt's folder. The folder itself is synced here.

        Raises:
            Superseded: Another attempt owns the epoch, or a newer attempt has started.
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
            sample_bits=None if sample_bits is None else str(sample_bits.relative_to(self.folder.path)),
        )
        owned = self.folder.commit(epoch)
        write_atomic(self.path / owned.name, _json(commit))
        _own(self.path / owned.name, owned)
        return commit

    def finish(self, *, state: EndState, at_ms: int, failure: Failure | None = None) -> Done:
        """Write the completion marker. The attempt's folder, with the stage's final files, is synced before it counts.

        Raises:
            Superseded: Another attempt ended the stage, or a newer attempt has started.
        """
        self.check_newest()
        done = Done(state=state, attempt=self.number, at_ms=at_ms, failure=failure)
        write_atomic(self.path / "done.json", _json(done))
        _own(self.path / "done.json", self.folder.done(self.generation))
        return done

    def check_newest(self) -> None:
        """Stop early if a newer attempt has started. The links alone would already keep the journal right.

        Raises:
            Superseded: There is a newer attempt.
        """
        newest = numbered(self.folder.attempts)[-1]
        if newest != self.number:
            raise Superseded(f"attempt {newest} has taken over from attempt {self.number} at {self.folder.path}")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """If a newer attempt has started, treat a missing file as superseded, not as a storage failure.

        Raises:
            Superseded: In place of an OSError, or of an error caused by one, if there is a newer attempt.
        """
        try:
            yield
        except Exception as error:
            if any(os_errors(error)):
                self.check_newest()
            raise

    @contextmanager
    def ending(self, *files: str) -> Iterator[None]:
        """Provide the context in which the attempt writes a stage's final files, and then the completion marker.

        Once there is a marker, the same files of other attempts are removed. They stay until then, because an older
        attempt may be the first to write the marker, and its files are then the stage's.

        Args:
            files: The names of the final files.

        Raises:
            Superseded: There is a newer attempt, or another attempt has ended the stage.
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
        """Delete the checkpoints of this and older attempts, except `keep` (paths relative to the stage folder).

        Files that killed older attempts left half-written are deleted too.
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

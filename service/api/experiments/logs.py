"""Logs of an experiment: files on the shared storage, found by chain and stage, and read whole or from a cursor on."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fastapi.exceptions import RequestValidationError

from service.api.context import Context
from service.errors import NotFound
from service.storage import ExperimentFolder

_BLOCK_BYTES = 65_536
# Largest number of bytes in an answer for a log that is read by cursor.
PAGE_BYTES = 1_048_576
CURSOR_PATTERN = r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,18}$"


@dataclass(frozen=True, order=True)
class Log:
    """The log of a driver (`stage` 0), or of one attempt at a stage; of two logs, the later one compares as larger."""

    stage: int
    number: int
    path: Path


@dataclass(frozen=True)
class Cursor:
    """A position in the logs: a log, and a byte offset in it."""

    stage: int
    number: int
    start: int

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the cursor of a text that matches `CURSOR_PATTERN`."""
        return cls(*map(int, re.findall("[0-9]+", text)))

    def __str__(self) -> str:
        return f"{self.stage}.{self.number}.{self.start}"


@dataclass(frozen=True)
class LogSlice:
    """The part of a log that one answer holds, and the cursor for the bytes that follow."""

    log: Log
    start: int
    end: int
    next: Cursor

    def read(self) -> Iterator[bytes]:
        """Yield the bytes of the slice."""
        with self.log.path.open("rb") as file:
            file.seek(self.start)
            position = self.start
            while position < self.end and (block := file.read(min(_BLOCK_BYTES, self.end - position))):
                position += len(block)
                yield block


def find_logs(context: Context, experiment_id: str, chain: str | None, stage: int | None) -> list[Log]:
    """Return the logs of the drivers, or of one or all stages of a chain, oldest first; there is at least one.

    If `chain` is None, they are those of the drivers; if only `stage` is None, those of all stages of the chain.

    Raises:
        NotFound: There is no such experiment, chain or stage, or it has written no log yet.
    """
    with context.database.reading() as repository:
        repository.experiments.get(experiment_id)
        known = repository.work.chain(experiment_id, chain) if chain is not None else None
        num_stages = len(known.stages) if known is not None else 0
    folder = ExperimentFolder(context.settings.storage, experiment_id)
    if chain is None and stage is not None:
        detail = (
            "needs the parameter chain too: each chain has its own stages, and without a chain this is the driver's log"
        )
        raise RequestValidationError(
            [{"loc": ("query", "stage"), "msg": detail, "type": "value_error", "input": stage}]
        )
    if chain is None:
        return _written([Log(0, n, folder.driver_log(n)) for n in folder.driver_numbers()], "the driver")
    if known is None:
        raise NotFound(f"experiment {experiment_id} has no chain {chain!r}")
    if stage is not None and stage >= num_stages:
        raise NotFound(f"chain {chain} has the stages 0 to {num_stages - 1}, and no stage {stage}")
    stages = {index: folder.stage(chain, index) for index in (range(num_stages) if stage is None else [stage])}
    logs = [Log(index, n, each.trial_log(n)) for index, each in stages.items() for n in each.attempt_numbers()]
    return _written(logs, f"chain {chain}" if stage is None else f"stage {stage} of chain {chain}")


def _written(logs: list[Log], whose: str) -> list[Log]:
    written = [log for log in logs if log.path.is_file()]
    if not written:
        raise NotFound(f"{whose} has written no log yet")
    return written


def newest_slice(logs: list[Log], tail: int | None) -> LogSlice:
    """Return the newest log as it is now, or its last `tail` lines."""
    log = logs[-1]
    with log.path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        start = 0 if tail is None else _start_of_last(file.fileno(), end, tail)
    return LogSlice(log, start, end, Cursor(log.stage, log.number, end))


def slice_after(logs: list[Log], cursor: Cursor) -> LogSlice:
    """Return at most `PAGE_BYTES` of a log from a cursor on; at the end of a log, the next cursor is in the next log.

    Numbers of logs may be missing: a cursor to the start of a missing log means the start of the next log.

    Raises:
        NotFound: The cursor belongs to none of these logs, or lies after the end of its log.
    """
    named = (cursor.stage, cursor.number)
    place = next((i for i, log in enumerate(logs) if (log.stage, log.number) >= named), None)
    if place is not None and cursor.start and (logs[place].stage, logs[place].number) != named:
        place = None
    size = None if place is None else logs[place].path.stat().st_size
    if place is None or size is None or cursor.start > size:
        raise NotFound(f"cursor={cursor}: must be the X-Next-Cursor of an answer for the same log")
    end = min(size, cursor.start + PAGE_BYTES)
    following = Cursor(logs[place].stage, logs[place].number, end)
    if end == size and place + 1 < len(logs):
        following = Cursor(logs[place + 1].stage, logs[place + 1].number, 0)
    return LogSlice(logs[place], cursor.start, end, following)


def _start_of_last(descriptor: int, end: int, num_lines: int) -> int:
    """Return the offset of the last `num_lines` lines of a file; read it backwards."""
    if num_lines == 0:
        return end
    # Skip the newline at the end of the last line.
    position, lines_left = end - 1, num_lines
    while position > 0:
        start = max(0, position - _BLOCK_BYTES)
        block = os.pread(descriptor, position - start, start)
        newline = len(block)
        while (newline := block.rfind(b"\n", 0, newline)) >= 0:
            lines_left -= 1
            if lines_left == 0:
                return start + newline + 1
        position = start
    return 0

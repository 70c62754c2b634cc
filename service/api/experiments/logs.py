"""Logs of an experiment: files on the shared storage, found by what they belong to."""

import os
from collections.abc import Iterator
from pathlib import Path

from service.api.context import Context
from service.errors import NotFound
from service.storage import ExperimentFolder

_BLOCK_BYTES = 65_536


def find(context: Context, experiment_id: str, chain: str | None, stage: int | None) -> Path:
    """Returns the newest log of the driver, or of a chain's stage (its last one that was begun, if None).

    Raises:
        NotFound: There is no such experiment, chain or stage, or it has written nothing yet.
    """
    with context.database.reading() as repository:
        repository.experiment(experiment_id)
        known = repository.chain(experiment_id, chain) if chain is not None else None
        num_stages = len(known.stages) if known is not None else 0
    folder = ExperimentFolder(context.settings.storage, experiment_id)
    if chain is None:
        return _newest([folder.driver_log(number) for number in folder.driver_numbers()], "the driver")
    if known is None:
        raise NotFound(f"experiment {experiment_id} has no chain {chain!r}")
    if stage is not None and stage >= num_stages:
        raise NotFound(f"chain {chain} has the stages 0 to {num_stages - 1}, and no stage {stage}")
    indices = range(num_stages) if stage is None else [stage]
    stages = [folder.stage(chain, index) for index in indices]
    paths = [folder.trial_log(number) for folder in stages for number in folder.attempt_numbers()]
    return _newest(paths, f"chain {chain}" if stage is None else f"stage {stage} of chain {chain}")


def _newest(paths: list[Path], whose: str) -> Path:
    for path in reversed(paths):
        if path.is_file():
            return path
    raise NotFound(f"{whose} has written no log yet")


def read(path: Path, tail: int | None) -> Iterator[bytes]:
    """Yields the file as it is now, or its last `tail` lines."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        position = 0 if tail is None else _start_of_last(file.fileno(), end, tail)
        file.seek(position)
        while position < end and (block := file.read(min(_BLOCK_BYTES, end - position))):
            position += len(block)
            yield block


def _start_of_last(descriptor: int, end: int, num_lines: int) -> int:
    """Returns where the last lines of a file begin, reading it backwards."""
    if num_lines == 0:
        return end
    # The newline that ends the last line begins no other one.
    position, wanted = end - 1, num_lines
    while position > 0:
        start = max(0, position - _BLOCK_BYTES)
        block = os.pread(descriptor, position - start, start)
        found = len(block)
        while (found := block.rfind(b"\n", 0, found)) >= 0:
            wanted -= 1
            if wanted == 0:
                return start + found + 1
        position = start
    return 0

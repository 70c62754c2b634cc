"""The analysis of a checkpoint, measured one row at a time."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, assert_never

from tet_core import checkpoint as checkpoints
from tet_core import environment
from tet_core.analysis.energy_rows import energy_rows
from tet_core.analysis.landscape import landscape_rows
from tet_core.analysis.subject import Row, Subject
from tet_core.analysis.time_sweep import sweep_rows
from tet_core.config import Analysis, Energy, Landscape, TimeSweep
from tet_core.train.stage import StageStart


class Rows(Iterator[Row]):
    """An iterator over the rows of an analysis that are not measured yet; each `next` measures one row.

    Attributes:
        start: The analysed weights' hash, the environment and the data set.
        total: Number of rows of the whole analysis, including the rows that are left out.
    """

    def __init__(self, start: StageStart, total: int, rows: Iterator[Row]) -> None:
        self.start, self.total = start, total
        self._rows = rows

    def __next__(self) -> Row:
        """Measure the next row."""
        return next(self._rows)


def analyse(
    checkpoint: Mapping[str, Any] | Path | str,
    analysis: Analysis,
    *,
    done: int = 0,
    data_root: Path | None = None,
    on_step: Callable[[], None] | None = None,
) -> Rows:
    """Analyse a trained network, one row at a time.

    Rows do not depend on each other, so an analysis that continues after row `done` gives the same rows as an analysis
    that never stopped.

    Args:
        checkpoint: Checkpoint of a training stage, or its path.
        analysis: The analysis and its settings.
        done: Number of rows that are already measured; they are left out.
        data_root: As for `load_dataset`.
        on_step: Called after every measured batch. If it raises an error, the analysis stops with that error.

    Returns:
        An iterator over the remaining rows.

    Raises:
        ConfigError: While iterating, if the analysis asks for more samples than the split has.
        ValueError: If `done` is outside 0 to the number of rows.
        CheckpointError: If the file of the checkpoint is damaged.
        FloatingPointError: If the checkpoint's weights are not finite.
        DataError: If the data set is missing or damaged.

    Example:
        >>> from tet_core import TrainConfig, analyse, fit
        >>> from tet_core.config import TimeSweep
        >>> config = TrainConfig(dataset={"name": "digits"}, model={"name": "vgg_small", "width": 2}, T=2, epochs=1,
        ...                      loss={"name": "sdt"})
        >>> [row.step for row in analyse(fit(config).checkpoint, TimeSweep(T=[1, 2, 4]))]
        [1, 2, 4]
    """
    if not isinstance(checkpoint, Mapping):
        checkpoint = checkpoints.load_checkpoint(checkpoint)
    total = analysis.num_rows()
    if not 0 <= done <= total:
        raise ValueError(f"done is {done}; the {analysis.kind} has {total} rows, so it must be from 0 to {total}")
    subject = Subject(checkpoint, data_root, on_step)
    return Rows(subject.describe_start(), total, _timed(subject, _rows(subject, analysis, done)))


def _rows(subject: Subject, analysis: Analysis, done: int) -> Iterator[Row]:
    match analysis:
        case TimeSweep():
            return sweep_rows(subject, analysis, done)
        case Landscape():
            return landscape_rows(subject, analysis, done)
        case Energy():
            return energy_rows(subject, analysis, done)
        case unknown:
            assert_never(unknown)


def _timed(subject: Subject, rows: Iterator[Row]) -> Iterator[Row]:
    """Yield each row with its measuring time in seconds, measured with the stage's threads and determinism."""
    while True:
        start_time = time.perf_counter()
        with environment.applied(subject.config):
            row = next(rows, None)
        if row is None:
            return
        yield replace(row, metrics=row.metrics | {"row_time_s": time.perf_counter() - start_time})

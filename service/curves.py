"""The curves of a stage: its metrics over the epochs of a training, or over the rows of an analysis.

The driver states them once, when a stage has ended. The database stores them packed: a chain of 300 epochs takes less
than 20 kB there.
"""

import base64
import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, isnan, nan
from statistics import fmean
from typing import Any, Protocol

from service.storage import StageFolder

TEST_ACCURACY, VAL_ACCURACY = "test/accuracy", "val/accuracy"
# The mean of the firing rates of all layers of neurons: the share of neurons and time steps with a spike.
FIRING_RATE = "firing_rate"
# The paper's best epoch: chosen on the test set.
BEST_TEST = "test/accuracy_best_test_epoch"
# The test accuracy at the epoch that is the best on the validation set.
BEST_VAL = "test/accuracy_best_val_epoch"
# Metrics that differ between two runs of the same stage.
_OF_TIME = ("epoch_time_s", "samples_per_s")
# The largest number of points of a curve. Of a longer training, every n-th epoch and the last one are kept.
MAX_POINTS = 1_000
# The kinds of stages whose points are epochs. All other stages have rows.
_TRAIN = "train"
_LANDSCAPE = "landscape"
# Of a landscape: the coordinate of each row, which is also the coordinate of the column with the same number.
GRID_COORDINATE = "landscape/beta"
GRID_LOSSES = ("loss_sdt", "loss_tet")
# The largest number of points along a side of a stored grid. Of a finer grid, every n-th point from the centre is kept.
MAX_GRID_SIDE = 51
# What the record of an attempt's start says about a result: on what it was computed, and from which data.
_FACTS = ("environment", "dataset", "num_parameters")


class CommittedPoint(Protocol):
    """What curves need of a committed epoch or row."""

    @property
    def epoch(self) -> int:
        """The number of the epoch or row, from 1."""

    @property
    def step(self) -> int | None:
        """The step of a row, such as the T of a time sweep; None: the number of the epoch."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics."""

    @property
    def firing_rates(self) -> Sequence[float]:
        """The firing rate of each layer of neurons; empty if it was not measured."""

    @property
    def checkpoint(self) -> str:
        """The path of the epoch's checkpoint, or of the row's records, relative to the stage folder."""


@dataclass(frozen=True)
class StageCurves:
    """The curves of a stage.

    Attributes:
        steps: The epochs of a training, or the steps of an analysis's rows: the T of a time sweep.
        values: The values of each metric, one for each step; NaN where a value is missing or was not finite.
        summary: Of a training: the test accuracies at the best epochs (`BEST_TEST`, `BEST_VAL`), and the last
            `FIRING_RATE`, as far as they were measured. Empty for an analysis.
        facts: The `environment`, the `dataset` and the `num_parameters` of the stage's newest attempt, as
            far as they are known.
    """

    steps: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    summary: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def at(self, metric: str, step: int) -> float | None:
        """Return the value of a metric at a step; None if there is none."""
        if metric not in self.values or step not in self.steps:
            return None
        value = self.values[metric][self.steps.index(step)]
        return None if isnan(value) else value

    def last(self, metric: str) -> float | None:
        """Return the last value of a metric; None if there is none."""
        return self.at(metric, self.steps[-1]) if self.steps else None


def curves_of(kind: str, points: Sequence[CommittedPoint]) -> StageCurves:
    """Return the curves of a stage from all of its committed epochs or rows.

    Args:
        kind: The kind of the stage.
        points: The epochs or rows, in order.
    """
    is_train = kind == _TRAIN
    kept = _thinned(points) if is_train else points
    steps = tuple(point.epoch if is_train or point.step is None else point.step for point in kept)
    rows = [_measured(point) for point in kept]
    names = sorted({name for row in rows for name in row})
    values = {name: tuple(row.get(name, nan) for row in rows) for name in names}
    return StageCurves(steps, values, summary_of(points) if is_train else {})


def _thinned(points: Sequence[CommittedPoint]) -> Sequence[CommittedPoint]:
    every = -(-len(points) // MAX_POINTS)
    return points if every <= 1 else points[-1::-every][::-1]


def _measured(point: CommittedPoint) -> dict[str, float]:
    finite = {name: value for name, value in point.metrics.items() if isfinite(value) and name not in _OF_TIME}
    return finite | ({FIRING_RATE: fmean(point.firing_rates)} if point.firing_rates else {})


def summary_of(points: Sequence[CommittedPoint]) -> dict[str, float]:
    """Return the summary of a training from all of its committed epochs; see `StageCurves.summary`."""
    rates = points[-1].firing_rates if points else ()
    return _best(points) | ({FIRING_RATE: fmean(rates)} if rates else {})


def _best(points: Sequence[CommittedPoint]) -> dict[str, float]:
    """Return the test accuracies at the best epochs: the earliest one, if several are equally good."""
    tested = [point.metrics for point in points if TEST_ACCURACY in point.metrics]
    if not tested:
        return {}
    best = {BEST_TEST: max(metrics[TEST_ACCURACY] for metrics in tested)}
    if all(VAL_ACCURACY in metrics for metrics in tested):
        best[BEST_VAL] = max(tested, key=lambda metrics: metrics[VAL_ACCURACY])[TEST_ACCURACY]
    return best


# -- what lies beside the commits -----------------------------------------------------------------------------------


def grid_metric(loss: str, column: int) -> str:
    """Return the name under which a landscape has the losses of a column of its grid, from 0."""
    return f"{_LANDSCAPE}/{loss}[{column}]"


def with_files(curves: StageCurves, kind: str, points: Sequence[CommittedPoint], folder: StageFolder) -> StageCurves:
    """Add to curves what only files of the stage have: the facts of its start, and the grid of a landscape.

    Args:
        curves: The curves of all points.
        kind: The kind of the stage.
        points: The committed epochs or rows, in order.
        folder: The stage's folder. Files that are gone are left out.
    """
    facts = _facts(folder)
    rows = _grid_rows(points, folder) if kind == _LANDSCAPE else []
    if not rows:
        return replace(curves, facts=facts)
    kept = _around_centre(len(rows))
    values = {GRID_COORDINATE: tuple(rows[number][0]["beta"] for number in kept)}
    for loss in GRID_LOSSES:
        for column, place in enumerate(kept):
            of_column = (rows[number][place][loss] for number in kept)
            values[grid_metric(loss, column)] = tuple(nan if value is None else float(value) for value in of_column)
    of_rows = {name: tuple(column[number] for number in kept) for name, column in curves.values.items()}
    steps = tuple(curves.steps[number] for number in kept)
    return StageCurves(steps, of_rows | values, curves.summary, facts)


def _facts(folder: StageFolder) -> dict[str, Any]:
    for number in reversed(folder.attempt_numbers()):
        try:
            record = json.loads((folder.attempt(number) / "started.json").read_bytes())
        except FileNotFoundError:
            continue
        return {key: record[key] for key in _FACTS if key in record}
    return {}


def _grid_rows(points: Sequence[CommittedPoint], folder: StageFolder) -> list[list[dict[str, Any]]]:
    """Return the records of all points of a grid, row by row; empty if it is not whole."""
    try:
        rows = [json.loads((folder.path / point.checkpoint).read_bytes()) for point in points]
    except FileNotFoundError:
        return []
    return rows if all(len(row) == len(rows) for row in rows) else []


def _around_centre(size: int) -> list[int]:
    """Return the numbers of the rows and columns of a grid to keep: the middle one, and as many on each side."""
    middle, most = size // 2, MAX_GRID_SIDE // 2
    every = -(-middle // most) or 1
    return list(range(middle % every, size, every))


# -- packing --------------------------------------------------------------------------------------------------------


def packed(curves: StageCurves, *, exact: bool) -> bytes:
    """Return curves as compressed bytes: a header in JSON, then the values metric by metric.

    Args:
        curves: The curves.
        exact: Whether values have 64 bits, as an analysis's few rows have, which are compared. Otherwise they have 32:
            enough for a figure.
    """
    number = "d" if exact else "f"
    header: dict[str, Any] = {"steps": _shortened(curves.steps), "metrics": list(curves.values), "number": number}
    header |= {"summary": dict(curves.summary), "facts": dict(curves.facts)}
    body = b"".join(struct.pack(f"<{len(curves.steps)}{number}", *values) for values in curves.values.values())
    return zlib.compress(json.dumps(header).encode() + b"\n" + body, 9)


def unpacked(data: bytes) -> StageCurves:
    """Return the curves that `packed` has packed.

    Raises:
        ValueError: The bytes are damaged.
    """
    try:
        header, _, body = zlib.decompress(data).partition(b"\n")
        about: dict[str, Any] = json.loads(header)
        steps = tuple(range(1, about["steps"] + 1)) if isinstance(about["steps"], int) else tuple(about["steps"])
        of_one = struct.Struct(f"<{len(steps)}{about['number']}")
        columns = (of_one.unpack_from(body, number * of_one.size) for number in range(len(about["metrics"])))
        return StageCurves(
            steps, dict(zip(about["metrics"], columns, strict=True)), about["summary"], about.get("facts", {})
        )
    except (zlib.error, struct.error, KeyError, TypeError) as error:
        raise ValueError(f"damaged curves: {error!r}") from None


def from_text(text: str) -> bytes:
    """Return the packed curves of an event.

    Raises:
        ValueError: The text is damaged.
    """
    return base64.b64decode(text, validate=True)


def _shortened(steps: Sequence[int]) -> int | list[int]:
    """Return the number of steps if they count from 1, as epochs do; otherwise the steps."""
    return len(steps) if list(steps) == list(range(1, len(steps) + 1)) else list(steps)


def as_text(kind: str, points: Sequence[CommittedPoint], folder: StageFolder | None = None) -> str:
    """Return the packed curves of a stage as text, for an event.

    Args:
        kind: The kind of the stage.
        points: The committed epochs or rows, in order.
        folder: As for `with_files`; None: without what only files have.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged.
    """
    curves = curves_of(kind, points)
    if folder is not None:
        curves = with_files(curves, kind, points, folder)
    return base64.b64encode(packed(curves, exact=kind not in (_TRAIN, _LANDSCAPE))).decode()


# -- reading from storage -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoredPoint:
    """A committed epoch or row as it lies on storage."""

    epoch: int
    step: int | None
    metrics: Mapping[str, float]
    firing_rates: Sequence[float]
    checkpoint: str


def stored_points(folder: StageFolder) -> list[StoredPoint]:
    """Read the committed epochs or rows of a stage from storage, in order, up to the first gap.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged.
    """
    return [_stored_point(folder.commit(number).read_bytes()) for number in folder.committed()]


def _stored_point(content: bytes) -> StoredPoint:
    try:
        record = json.loads(content)
        rates = [layer["firing_rate"] for layer in record.get("layers", {}).values()]
        return StoredPoint(record["epoch"], record.get("step"), record["metrics"], rates, record["checkpoint"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a commit is damaged: {error!r}") from None


def stored_as_text(kind: str, folder: StageFolder) -> str | None:
    """Return the packed curves of a stage on storage; None if nothing is committed there.

    Raises:
        OSError, ValueError: As for `stored_points`.
    """
    points: Iterable[StoredPoint] = stored_points(folder)
    return as_text(kind, list(points), folder) if points else None

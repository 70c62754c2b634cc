"""Tests of the curves of stages: what they hold, their packed form, and their size."""

import json
import random
import zlib
from dataclasses import dataclass, field
from math import inf, isnan
from pathlib import Path

import pytest

from service.curves import (
    GRID_COORDINATE,
    MAX_GRID_SIDE,
    MAX_POINTS,
    as_text,
    curves_of,
    from_text,
    grid_metric,
    packed,
    stored_as_text,
    stored_points,
    unpacked,
)
from service.storage import StageFolder
from tests.unit.service.runner.writing import write


@dataclass
class Point:
    epoch: int
    metrics: dict[str, float]
    step: int | None = None
    firing_rates: list[float] = field(default_factory=list)
    checkpoint: str = ""


def epochs(*accuracies: float, **metrics: float) -> list[Point]:
    return [Point(n, {"test/accuracy": each, **metrics}) for n, each in enumerate(accuracies, 1)]


def test_a_training_has_its_metrics_by_epoch_and_no_times() -> None:
    points = epochs(0.5, 0.75, epoch_time_s=3.0, samples_per_s=9.0)
    points[1].firing_rates = [0.1, 0.3]
    points[0].metrics["train/loss"] = inf
    curves = curves_of("train", points)
    assert (curves.steps, sorted(curves.values)) == ((1, 2), ["firing_rate", "test/accuracy"])
    assert curves.values["test/accuracy"] == (0.5, 0.75)
    assert (curves.last("firing_rate"), curves.at("firing_rate", 1)) == (0.2, None)
    assert (curves.at("test/accuracy", 3), curves.last("test/loss")) == (None, None)


def test_the_best_epochs_are_the_earliest_of_equal_ones() -> None:
    points = epochs(0.5, 0.9, 0.7)
    assert curves_of("train", points).summary == {"test/accuracy_best_test_epoch": 0.9}
    for point, validation in zip(points, (0.6, 0.6, 0.1), strict=True):
        point.metrics["val/accuracy"] = validation
    assert curves_of("train", points).summary == {
        "test/accuracy_best_test_epoch": 0.9,
        "test/accuracy_best_val_epoch": 0.5,
    }


def test_an_analysis_has_its_steps_and_exact_values() -> None:
    rows = [Point(n, {"time_sweep/accuracy": T / 7}, step=T) for n, T in enumerate((2, 4, 6), 1)]
    curves = unpacked(from_text(as_text("time_sweep", rows)))
    assert (curves.steps, curves.summary) == ((2, 4, 6), {})
    assert [curves.at("time_sweep/accuracy", T) for T in (2, 4, 6, 1)] == [2 / 7, 4 / 7, 6 / 7, None]


def test_curves_come_back_and_missing_values_stay_missing() -> None:
    points = epochs(0.5, 0.75, 1.0)
    points[2].metrics["val/loss"] = 2.5
    whole = curves_of("train", points)
    back = unpacked(packed(whole, exact=True))
    assert (back.steps, back.summary, back.values["test/accuracy"]) == (whole.steps, whole.summary, (0.5, 0.75, 1.0))
    assert [isnan(value) for value in back.values["val/loss"]] == [True, True, False]
    assert unpacked(packed(curves_of("train", []), exact=False)).steps == ()


def test_long_trainings_keep_their_last_epoch() -> None:
    for num in (MAX_POINTS, MAX_POINTS + 1, 10 * MAX_POINTS - 3):
        points = epochs(*(n / num for n in range(1, num + 1)))
        curves = curves_of("train", points)
        assert len(curves.steps) <= MAX_POINTS
        assert (curves.steps[-1], curves.last("test/accuracy")) == (num, 1.0)
        assert list(curves.steps) == sorted(set(curves.steps))
        back = unpacked(packed(curves, exact=False))
        assert back.steps == curves.steps


def test_300_epochs_with_a_validation_set_take_less_than_15_kb() -> None:
    draw = random.Random(0)
    splits = [f"{split}/{name}" for split in ("test", "val") for name in ("loss", "loss_sdt", "loss_tet", "accuracy")]
    names = [*splits, "train/loss", "train/accuracy", "val/energy_j"]
    points = [Point(n, {name: draw.random() for name in names}, firing_rates=[draw.random()]) for n in range(1, 301)]
    assert len(packed(curves_of("train", points), exact=False)) < 15_000


def test_curves_are_read_from_storage_up_to_the_first_gap(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "0")
    assert stored_points(folder) == []
    write(folder, 3, of=3)
    assert [point.epoch for point in stored_points(folder)] == [1, 2, 3]
    folder.commit(2).unlink()
    assert [point.epoch for point in stored_points(folder)] == [1]
    folder.commit(1).write_text('{"epoch": 1}')
    with pytest.raises(ValueError, match="damaged"):
        stored_points(folder)


def landscape_folder(folder: StageFolder, size: int, started: object = None) -> list[Point]:
    """Write the files of a landscape whose losses are 100 * row + column, and the points that lead to them."""
    folder.attempt(1).mkdir(parents=True)
    if started is not None:
        (folder.attempt(1) / "started.json").write_text(json.dumps(started))
    points = []
    for row in range(size):
        at = 2 * row / (size - 1) - 1
        losses = [None if (row, column) == (0, 0) else 100.0 * row + column for column in range(size)]
        records = [{"alpha": 0.0, "beta": at, "loss_sdt": each, "loss_tet": 1.0} for each in losses]
        file = folder.attempt(1) / f"row-{row + 1:06d}.json"
        file.write_text(json.dumps(records))
        metrics = {"landscape/loss_sdt_min": 100.0 * row}
        points.append(Point(row + 1, metrics, step=row + 1, checkpoint=str(file.relative_to(folder.path))))
    return points


def test_a_landscape_has_its_grid_and_a_stage_the_facts_of_its_start(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "0")
    facts = {
        "environment": {"torch": "2.13", "deterministic": True},
        "dataset": {"name": "digits"},
        "num_parameters": 3,
    }
    points = landscape_folder(folder, 3, started=facts | {"host": "node", "attempt": 1})
    curves = unpacked(from_text(as_text("landscape", points, folder)))
    assert curves.facts == facts
    assert (curves.steps, curves.values[GRID_COORDINATE]) == ((1, 2, 3), (-1, 0, 1))
    assert curves.values["landscape/loss_sdt_min"] == (0, 100, 200)
    assert curves.values[grid_metric("loss_sdt", 2)] == (2, 102, 202)
    assert curves.values[grid_metric("loss_tet", 0)] == (1, 1, 1)
    assert isnan(curves.values[grid_metric("loss_sdt", 0)][0])


def test_a_fine_grid_is_thinned_around_its_centre(tmp_path: Path) -> None:
    for size in (51, 53, 101, 121, 201):
        folder = StageFolder(tmp_path / str(size))
        curves = unpacked(from_text(as_text("landscape", landscape_folder(folder, size), folder)))
        at = curves.values[GRID_COORDINATE]
        assert len(at) <= MAX_GRID_SIDE
        assert (at[len(at) // 2], at[0]) == (0, -at[-1])
        assert grid_metric("loss_sdt", len(at) - 1) in curves.values
        assert curves.facts == {}


def test_a_landscape_whose_files_are_gone_keeps_its_extremes(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "0")
    points = landscape_folder(folder, 3)
    (folder.path / points[1].checkpoint).unlink()
    curves = unpacked(from_text(as_text("landscape", points, folder)))
    assert list(curves.values) == ["landscape/loss_sdt_min"]
    assert unpacked(from_text(as_text("landscape", points[:2], folder))).steps == (1, 2)


def test_the_facts_of_a_training_are_read_from_its_newest_attempt_with_a_record(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "0")
    write(folder, 2, of=2)
    (folder.attempt(9)).mkdir()
    text = stored_as_text("train", folder)
    assert text is not None
    assert set(unpacked(from_text(text)).facts) == {"environment", "dataset", "num_parameters"}


def test_curves_of_an_earlier_form_have_no_facts() -> None:
    data = zlib.decompress(packed(curves_of("train", epochs(0.5)), exact=False))
    header, _, body = data.partition(b"\n")
    about = {key: value for key, value in json.loads(header).items() if key != "facts"}
    assert unpacked(zlib.compress(json.dumps(about).encode() + b"\n" + body)).facts == {}


@pytest.mark.parametrize("text", ["", "!", "AAAA", as_text("train", epochs(0.5))[:-8]])
def test_damaged_curves_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpacked(from_text(text))

"""Tests of the curves of stages: what they hold, their packed form, and their size."""

import random
from dataclasses import dataclass, field
from math import inf, isnan
from pathlib import Path

import pytest

from service.curves import MAX_POINTS, as_text, curves_of, from_text, packed, stored_points, unpacked
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


@pytest.mark.parametrize("text", ["", "!", "AAAA", as_text("train", epochs(0.5))[:-8]])
def test_damaged_curves_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpacked(from_text(text))

"""Tests of fit() and evaluate()."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.tet_core.stages import make_config
from tet_core import evaluate, fit
from tet_core.checkpoint import CheckpointError, load_checkpoint
from tet_core.errors import ConfigError
from tet_core.train.epochs import Epoch


class StoppedError(Exception):
    pass


def stop_after(number: int) -> Callable[[Epoch], None]:
    def stop(epoch: Epoch) -> None:
        if epoch.number == number:
            raise StoppedError

    return stop


@pytest.mark.slow
def test_a_fit_that_was_stopped_and_called_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    config = make_config(epochs=4)
    whole = fit(config, folder=tmp_path / "whole")
    with pytest.raises(StoppedError):
        fit(config, folder=tmp_path / "parts", on_epoch=stop_after(2))
    resumed = fit(config, folder=tmp_path / "parts")
    assert sorted(resumed.history) == [3, 4]
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.best["epoch"] == whole.best["epoch"]
    for name in ("train/loss", "test/loss", "test/accuracy"):
        assert resumed.metrics[name] == whole.metrics[name]
    again = fit(config, folder=tmp_path / "parts")
    assert again.history == {}
    assert again.weights_sha256 == whole.weights_sha256


def test_time_inheritance_in_two_calls_ends_with_the_same_bits(tmp_path: Path) -> None:
    first = fit(make_config(T=2, epochs=1))
    config = make_config(T=4, epochs=2, epoch_offset=1)
    whole = fit(config, initial=first.checkpoint)
    with pytest.raises(StoppedError):
        fit(config, initial=first.checkpoint, folder=tmp_path, on_epoch=stop_after(1))
    assert fit(config, initial=first.checkpoint, folder=tmp_path).weights_sha256 == whole.weights_sha256


def test_the_best_epoch_is_chosen_by_validation_or_its_file_is_named_best_test(tmp_path: Path) -> None:
    result = fit(make_config(epochs=3, validation=0.1), folder=tmp_path / "validated")
    accuracies = {number: metrics["val/accuracy"] for number, metrics in result.history.items()}
    assert result.best["epoch"] == max(accuracies, key=lambda number: (accuracies[number], -number))
    assert load_checkpoint(tmp_path / "validated" / "best.pt")["epoch"] == result.best["epoch"]
    fit(make_config(epochs=1), folder=tmp_path / "plain")
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == ["best_test.pt", "last.pt"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_evaluating_a_checkpoint_gives_the_logged_numbers_to_the_last_digit(tmp_path: Path, precision: str) -> None:
    result = fit(make_config(T=4, epochs=2, validation=0.1, precision=precision), folder=tmp_path)
    for split in ("test", "val"):
        logged = {name: value for name, value in result.metrics.items() if name.startswith(f"{split}/")}
        assert evaluate(tmp_path / "last.pt", split=split) == logged
    assert evaluate(result.checkpoint)["test/accuracy"] == result.metrics["test/accuracy"]


def test_a_missing_split_is_named() -> None:
    result = fit(make_config(epochs=1))
    with pytest.raises(ConfigError, match="split is 'train'; it must be 'test' or 'val'"):
        evaluate(result.checkpoint, split="train")
    with pytest.raises(ConfigError, match="had no validation set"):
        evaluate(result.checkpoint, split="val")


def test_a_damaged_last_checkpoint_is_named(tmp_path: Path) -> None:
    fit(make_config(epochs=1), folder=tmp_path)
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"last\.pt: damaged"):
        fit(make_config(epochs=2), folder=tmp_path)


def test_training_learns_to_read_digits() -> None:
    config = make_config(
        T=2, epochs=6, model={"name": "vgg_small", "width": 16}, optimizer={"name": "adam", "lr": 0.01}
    )
    assert fit(config).metrics["test/accuracy"] > 0.9

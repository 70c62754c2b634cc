"""Tests of checkpoints on disk."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from tet_core import checkpoint as checkpoints
from tet_core.checkpoint import CheckpointError, weights_sha256


@pytest.fixture
def checkpoint() -> dict[str, Any]:
    return {
        "format": 1,
        "config": {"T": 4, "betas": [0.9, 0.999]},
        "environment": {"torch": "x", "deterministic": True},
        "epoch": 3,
        "model": {"b": torch.arange(4.0), "a": torch.ones(2, 3, dtype=torch.float64)},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "metrics": {"test/accuracy": 0.5},
    }


def test_a_saved_checkpoint_is_loaded_unchanged(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    checkpoints.save_checkpoint(checkpoint, tmp_path / "last.pt")
    loaded = checkpoints.load_checkpoint(tmp_path / "last.pt")
    assert weights_sha256(loaded) == weights_sha256(checkpoint)
    for part in ("config", "environment", "epoch", "metrics"):
        assert loaded[part] == checkpoint[part]
    assert loaded["optimizer"]["state"][0]["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_temporary_file_of_a_killed_writer_is_ignored(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save_checkpoint(checkpoint, path)
    for leftover in (".last.pt.tmp", ".last.pt.1.tmp"):
        (tmp_path / leftover).write_bytes(path.read_bytes()[:100])
    assert checkpoints.load_checkpoint(path)["epoch"] == 3
    checkpoints.save_checkpoint(checkpoint | {"epoch": 4}, path)
    assert checkpoints.load_checkpoint(path)["epoch"] == 4


def test_a_write_that_fails_leaves_the_old_file(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save_checkpoint(checkpoint, path)
    with pytest.raises(Exception, match="pickle"):
        checkpoints.save_checkpoint(checkpoint | {"epoch": 4, "config": lambda: None}, path)
    assert checkpoints.load_checkpoint(path)["epoch"] == 3
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("num_values", [1, 100_000])
def test_a_full_disk_raises_the_systems_own_error(
    checkpoint: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_values: int
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "0")
    (tmp_path / ".last.pt.0.tmp").symlink_to("/dev/full")  # where the content is written first
    with pytest.raises(OSError, match="No space left on device") as caught:
        checkpoints.save_checkpoint(checkpoint | {"model": {"a": torch.ones(num_values)}}, tmp_path / "last.pt")
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


# The kept part is a number of bytes, or below 1 a share of the file.
@pytest.mark.parametrize("kept_part", [0, 10, 500, 0.9, 0.999])
def test_a_truncated_file_is_named(checkpoint: dict[str, Any], tmp_path: Path, kept_part: float) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save_checkpoint(checkpoint, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept_part if kept_part >= 1 or kept_part == 0 else kept_part * len(content))])
    with pytest.raises(CheckpointError, match=r"last\.pt: damaged, or not a checkpoint"):
        checkpoints.load_checkpoint(path)


def test_a_file_with_a_flipped_bit_in_the_weights_is_named(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save_checkpoint(checkpoint | {"model": {"a": torch.full((64,), 1.5)}}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((4,), 1.5).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.pt: damaged"):
        checkpoints.load_checkpoint(path)


def test_a_file_with_code_in_it_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 1, "model": Path("/")}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match=r"evil\.pt: damaged, or not a checkpoint"):
        checkpoints.load_checkpoint(tmp_path / "evil.pt")


def test_a_missing_file_another_format_and_missing_parts_are_named(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt: no such checkpoint"):
        checkpoints.load_checkpoint(tmp_path / "none.pt")
    checkpoints.save_checkpoint(checkpoint | {"format": 2}, tmp_path / "new.pt")
    with pytest.raises(CheckpointError, match=r"new\.pt: its format is 2; this version reads format 1"):
        checkpoints.load_checkpoint(tmp_path / "new.pt")
    del checkpoint["optimizer"]
    checkpoints.save_checkpoint(checkpoint, tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match=r"part\.pt: lacks optimizer"):
        checkpoints.load_checkpoint(tmp_path / "part.pt")


def test_the_hash_depends_on_names_types_shapes_and_bytes() -> None:
    weights = {"a": torch.zeros(4, 6), "b": torch.ones(2, dtype=torch.int64)}
    same = {"b": torch.ones(2, dtype=torch.int64), "a": torch.zeros(6, 4).t()}
    assert weights_sha256(weights) == weights_sha256(same)
    others = [
        weights | {"a": torch.zeros(6, 4)},
        weights | {"a": torch.zeros(4, 6, dtype=torch.int32)},
        weights | {"a": -torch.zeros(4, 6)},
        weights | {"c": torch.zeros(())},
    ]
    assert len({weights_sha256(one) for one in [weights, *others]}) == 5
    assert weights_sha256({"model": weights}) == weights_sha256(weights)

"""Checkpoints: plain dictionaries, written in one step, read without running code from the file.

A checkpoint has the keys "format", "config", "environment", "epoch", "model", "optimizer", "scaler", "metrics" and
"data". It contains only tensors, str, int, float, bool, None, dict and list, so `torch.load(path, weights_only=True)`
reads it anywhere. The loss scaler has a state only with float16. "data" has "classes" (the names of the classes by
label, or None), and "mean" and "std" (of each channel, in the units of the samples): with the config, which has the
data set and T, this is what `tet_core.load` needs. Older checkpoints have no "scaler", or no "data".
"""

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tet_core.errors import CheckpointError as CheckpointError
from tet_core.errors import EnvironmentMismatch as EnvironmentMismatch
from tet_core.files import write_atomic

FORMAT = 1
KEYS = ("format", "config", "environment", "epoch", "model", "optimizer", "metrics")


def save_checkpoint(checkpoint: Mapping[str, Any], path: Path | str, *, sync_entry: bool = True) -> None:
    """Write a checkpoint in one step: after a crash the path holds the old file or the whole new one.

    Args:
        checkpoint: The checkpoint, with the keys listed above.
        path: Path of the file; its folder must exist.
        sync_entry: As for `tet_core.files.write_atomic`.

    Raises:
        OSError: If the file cannot be written, for instance because the disk is full.
    """
    try:
        write_atomic(Path(path), lambda stream: torch.save(dict(checkpoint), stream), sync_entry=sync_entry)
    except RuntimeError as error:
        # After a failed write torch still closes its archive, which raises a second error, about missing parts.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def load_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint; its tensors are on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is damaged or of another format; the message names the file.
    """
    try:
        _check_crcs(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such checkpoint") from None
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: damaged, or not a checkpoint: {detail}") from error
    if not isinstance(checkpoint, dict) or checkpoint.get("format") != FORMAT:
        saved_format = checkpoint.get("format") if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise CheckpointError(f"{path}: its format is {saved_format!r}; this version reads format {FORMAT}")
    missing = [key for key in KEYS if key not in checkpoint]
    if missing:
        raise CheckpointError(f"{path}: lacks {', '.join(missing)}")
    return checkpoint


def _check_crcs(path: Path | str) -> None:
    """Check the CRC of every part of the file: torch writes CRCs, but does not check them when it reads."""
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise zipfile.BadZipFile(f"the checksum of {bad} is wrong")


def weights_sha256(weights: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) over names, dtypes, shapes and bytes of a network's weights and buffers, by sorted name.

    Args:
        weights: A checkpoint, or a module's `state_dict()`; on any device, in any memory layout.
    """
    if "model" in weights and not isinstance(weights["model"], Tensor):
        weights = weights["model"]
    sha = hashlib.sha256()
    for name in sorted(weights):
        tensor: Tensor = weights[name]
        sha.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def snapshot(value: Any) -> Any:
    """Return a deep copy of nested dicts and lists of tensors, on the CPU; later training does not change the copy."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [snapshot(item) for item in value]
    return value

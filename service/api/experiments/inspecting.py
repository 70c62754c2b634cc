"""The data set of a posted spec, as far as the API sees its files: what is wrong, and what is worth a note.

A file system may hang, so a separate thread looks at the files, and the request waits for it only for a limited time.
If the thread is too slow, only a node checks the data set, when a trial starts.
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service.errors import FieldError
from service.settings import Settings
from service.spec.experiment import Experiment
from service.spec.resolving import resolve_stage
from tet_core.config import TrainConfig
from tet_core.inventory import Inspection, SplitShares, default_root, inspect

SCAN_S = 2.0  # a request should be answered within a few seconds
_ANSWER_S = 0.5  # extra time, s: a scan may notice late that its time is over
# The number of scans at once. A scan that hangs keeps its place, so a dead file system cannot take a thread for every
# request.
_places = threading.BoundedSemaphore(4)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class DataRemarks:
    """What the API sees of a data set: faults, and notes."""

    faults: list[FieldError] = field(default_factory=list)
    notes: list[FieldError] = field(default_factory=list)


def inspected(settings: Settings, spec: Experiment, *, scan_s: float = SCAN_S) -> DataRemarks:
    """Look for the spec's data set under the data root of this machine, for at most `scan_s` seconds."""
    root = _data_root(settings)
    raw = spec.model_dump(mode="json")
    if root is None:
        unseen = settings.data or "the default folder of each node"
        note = f"the API does not see the data root ({unseen}), so only the nodes check the data set"
        return DataRemarks() if spec.dataset.name == "digits" else DataRemarks(notes=[_at(raw, ("dataset",), note)])
    found = _within(spec, root, scan_s)
    if found is None:
        note = f"{root} did not answer within {scan_s:g} s; a node checks the data set when a trial starts"
        return DataRemarks(notes=[_at(raw, ("dataset",), note)])
    return DataRemarks(*([_at(raw, each.path, each.detail) for each in part] for part in (found.faults, found.notes)))


def _data_root(settings: Settings) -> Path | None:
    """Return the data root if this machine has it; without `TET_DATA`, each other machine has its own data root."""
    if settings.data is None and urlsplit(settings.ray_url).hostname not in _LOOPBACK:
        return None
    root = settings.data or default_root()
    try:
        return root if root.is_dir() else None
    except OSError:
        return None


def _within(spec: Experiment, root: Path, scan_s: float) -> Inspection | None:
    """Return what the scan of the folders found; None if it did not end in time."""
    if not _places.acquire(timeout=scan_s):
        return None
    answers: list[Inspection] = []
    deadline = time.monotonic() + scan_s

    def look() -> None:
        try:
            answers.append(inspect(spec.dataset, root, _shares(spec), deadline=deadline))
        except OSError:  # the file system failed; a node will report the error
            pass
        finally:
            _places.release()

    thread = threading.Thread(target=look, name="inspection", daemon=True)
    thread.start()
    thread.join(scan_s + _ANSWER_S)
    return answers[0] if answers else None


def _shares(spec: Experiment) -> set[SplitShares]:
    """Return the shares of the training set that the stages take: the same for all stages of a spec."""
    config = resolve_stage(spec, 0, 0, spec.all_seeds[0])
    train = config if isinstance(config, TrainConfig) else config.train
    return {SplitShares(train.validation, train.train_part)}


def _at(raw: Any, path: tuple[str, ...], detail: str) -> FieldError:
    value = raw
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return FieldError.at(path, value, detail)

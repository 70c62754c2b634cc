"""A cache on disk of the frames of whole data sets, written by the first process that needs them.

A cache is a folder `<data root>/.frames/<key>/` with `frames.npy` `[N, T, 2, S, S]`, int16, `sha256.npy` `[N, 32]` (of
each sample's frames) and `recipe.json`, which names everything that the frames depend on. The key is the SHA-256 of the
recipe, so a cache is never out of date. A writer fills a temporary folder and renames it when it is whole. Writers of
one key wait for each other, and each of them removes the folders that killed writers left.

Shapes: N samples, T frames, S: the width and height of the network's input, in pixels.
"""

import hashlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tet_core.data.dataset import DataError
from tet_core.data.events.recording import COUNT, NUM_POLARITIES
from tet_core.data.stepping import step
from tet_core.files import only_one, sync_folder

FORMAT = 1  # version of the folder's layout and of the frames: a change of either makes new caches
FOLDER = ".frames"
_UPDATES = 20  # number of progress lines that are printed for a cache


class Frames(NamedTuple):
    """A cache: `frames` `[N, T, 2, S, S]`, int16, mapped from the file, and `sha256` `[N, 32]`, uint8."""

    frames: NDArray[np.int16]
    sha256: NDArray[np.uint8]


@dataclass(frozen=True)
class FrameRequest:
    """A request for the frames of a data set, with a function that makes the frames if the cache lacks them.

    Attributes:
        name: Name of the data set, for messages.
        recipe: Everything that the frames depend on, as plain values.
        num_samples: N.
        T: Number of frames of a sample.
        input_size: S.
        make: Function that returns the frames `[T, 2, S, S]` of one sample after another.
    """

    name: str
    recipe: Mapping[str, Any]
    num_samples: int
    T: int
    input_size: int
    make: Callable[[], Iterable[NDArray[np.int16]]]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all frames, `[N, T, 2, S, S]`."""
        return (self.num_samples, self.T, NUM_POLARITIES, self.input_size, self.input_size)

    @property
    def full_recipe(self) -> str:
        """The recipe, with shape and format, as JSON with sorted keys."""
        return json.dumps({**self.recipe, "shape": self.shape, "format": FORMAT}, sort_keys=True, indent=1)

    @property
    def key(self) -> str:
        """Name of the cache's folder."""
        return hashlib.sha256(self.full_recipe.encode()).hexdigest()


def cached(request: FrameRequest, root: Path) -> Frames:
    """Open a cache; write it first if it is missing or damaged.

    It is looked for under the data root, then under the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`). It is
    written to the first of these places that can be written.

    Raises:
        DataError: If neither place can be written, the disk is full, or a recording cannot be read.
    """
    places = list(dict.fromkeys([root / FOLDER, _own_cache() / "tet_core" / FOLDER]))
    for place in places:
        if (frames := _open(place / request.key, request)) is not None:
            return frames
    refusals: dict[Path, OSError] = {}
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):  # permissions do not show a read-only mount
                pass
        except OSError as error:
            refusals[place] = error
            continue
        return _opened_or_written(request, place)
    tried = "; ".join(f"{place}: {error.strerror or error}" for place, error in refusals.items())
    last = refusals[places[-1]]
    raise DataError(f"{request.name}: the frames of its recordings cannot be stored: {tried}") from last


def _own_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _open(folder: Path, request: FrameRequest) -> Frames | None:
    """Return the cache in a folder, or None if it is missing or damaged."""
    try:
        # Copy on write, because torch accepts no read-only array. Nothing here writes.
        frames = np.load(folder / "frames.npy", mmap_mode="c")
        sha256 = np.load(folder / "sha256.npy")
    except (OSError, ValueError, EOFError):  # missing; truncated; without the header of an array
        return None
    expected = (request.shape, np.dtype(COUNT), (request.num_samples, 32), np.dtype(np.uint8))
    return Frames(frames, sha256) if (frames.shape, frames.dtype, sha256.shape, sha256.dtype) == expected else None


def _opened_or_written(request: FrameRequest, place: Path) -> Frames:
    target, prefix = place / request.key, f".{request.key}."
    try:
        with only_one(place / f"{prefix}lock", lambda: _say_waiting(request.name), step) as alone:
            if (frames := _open(target, request)) is not None:
                return frames  # another process wrote the cache while this one waited
            if alone:
                _remove_leftovers(place, prefix)
            temporary = place / f"{prefix}{secrets.token_hex(4)}.tmp"
            temporary.mkdir()
            try:
                _write(request, temporary)
                _put_in_place(temporary, target, request)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            sync_folder(place)
    except OSError as error:
        size = int(np.prod(request.shape)) * np.dtype(COUNT).itemsize / 1e6
        raise DataError(
            f"{request.name}: its frames ({size:.0f} MB) could not be written to {place}: {error}"
        ) from error
    frames = _open(target, request)
    if frames is None:
        raise DataError(f"{target}: cannot be read back, although it was just written; check the disk")
    return frames


def _remove_leftovers(place: Path, prefix: str) -> None:
    """Remove the folders of writers that died: this process holds the lock, so no writer is alive."""
    for leftover in place.glob(f"{prefix}*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _put_in_place(temporary: Path, target: Path, request: FrameRequest) -> None:
    if target.exists() and _open(target, request) is None:  # damaged; processes that have it open keep it
        target.rename(temporary / "damaged")
        # The rename below moves the whole folder, so the damaged cache is removed from it first.
        shutil.rmtree(temporary / "damaged")
    try:
        temporary.rename(target)
    except OSError:
        if _open(target, request) is None:  # otherwise another writer was first, on a file system without locks
            raise


def _write(request: FrameRequest, folder: Path) -> None:
    """Write all three files, but not through a memory map: with one, a full disk would kill the process."""
    checksums = np.empty((request.num_samples, 32), np.uint8)
    done = 0
    with (folder / "frames.npy").open("wb") as file:
        header = {"descr": np.dtype(COUNT).str, "fortran_order": False, "shape": request.shape}
        np.lib.format.write_array_header_2_0(file, header)
        for frames in request.make():
            assert frames.shape == request.shape[1:]
            assert frames.dtype == COUNT
            content = np.ascontiguousarray(frames).tobytes()
            file.write(content)
            checksums[done] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
            done += 1
            _report(request.name, done, request.num_samples)
            step()
        assert done == request.num_samples
        file.flush()
        os.fsync(file.fileno())
    with (folder / "sha256.npy").open("wb") as file:
        np.save(file, checksums)
        file.flush()
        os.fsync(file.fileno())
    (folder / "recipe.json").write_text(request.full_recipe)
    sync_folder(folder)


def _report(name: str, done: int, total: int) -> None:
    if done * _UPDATES // total > (done - 1) * _UPDATES // total:
        print(f"{name}: frames of {done} of {total} recordings", file=sys.stderr, flush=True)


def _say_waiting(name: str) -> None:
    print(f"{name}: waiting for another process that writes the frames", file=sys.stderr, flush=True)

"""Verdicts about every file of a folder data set, kept on disk, since such a check may take as long as an epoch.

A verdict is a file `<data root>/.checked/<key>.json`, with the faults of the files; the key is of everything that they
depend on. One process checks the files while others wait, and then read its verdict. What is found so far is saved
every few seconds in `<key>.part`, so that a check goes on where one that was ended had come to.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tet_core.data.stepping import step
from tet_core.files import only_one, write_atomic
from tet_core.inventory.scanning import BadFile, readable

FOLDER = ".checked"
_SAVE_S = 5.0  # time, in s, between two saves: what a killed check loses, against the cost of a write to a shared disk
_AHEAD = 1_024  # number of files that are handed to a pool at once; all of a large data set would fill its queue

# A file's name in its data set, and its fault.
_Faults = list[tuple[str, str]]


@dataclass(frozen=True)
class FileCheck:
    """A check of files.

    Attributes:
        folder: The data set's folder.
        files: Files in it, always in the same order.
        fault_of: Function that returns the fault of a file, or None.
        depends_on: Everything besides the files that `fault_of` depends on, as plain values.
        doing: What is done, as text for people.
        run: Function that maps `fault_of` over files, such as a pool's `map`.
        until_first: Whether the check ends at the first file with a fault.
    """

    folder: Path
    files: Sequence[Path]
    fault_of: Callable[[Path], str | None]
    depends_on: Mapping[str, Any]
    doing: str
    run: Callable[..., Any] = map
    until_first: bool = False


def verdict_of(check: FileCheck, root: Path | None) -> list[BadFile]:
    """Return the files with faults, from an earlier verdict if nothing has changed since.

    Args:
        check: The check.
        root: The data root, for the verdict; None: the verdict is not kept.
    """
    faults = _checked(check, None) if root is None else _kept(check, root / FOLDER / f"{_key(check)}.json")
    return [BadFile(check.folder / name, why) for name, why in faults]


def _kept(check: FileCheck, store: Path) -> _Faults:
    if (earlier := _stored(store)) is not None:
        return earlier
    with ExitStack() as held:
        with suppress(OSError):  # a read-only data root: every process checks the files by itself
            store.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(only_one(store.with_suffix(".lock"), lambda: _say_waiting(check), step))
        if (earlier := _stored(store)) is not None:
            return earlier  # another process made the check while this one waited
        part = store.with_suffix(".part")
        faults = _checked(check, part)
        try:
            write_atomic(store, json.dumps(faults).encode())
            part.unlink(missing_ok=True)
        except OSError as error:  # a read-only data root
            _say(f"{store}: cannot be written, so every trial checks all files first: {error}")
        return faults


def _checked(check: FileCheck, part: Path | None) -> _Faults:
    done, faults = _begun(part)
    begun = f", the first {done:,} of them before" if done else ""
    _say(f"{check.folder}: {check.doing}: {len(check.files):,} files{begun}")
    saved_at = time.monotonic()
    try:
        for path, why in _found(check, done):
            done += 1
            if why is not None:
                faults.append((str(path.relative_to(check.folder)), why))
                if check.until_first:
                    break
            step()
            if time.monotonic() - saved_at >= _SAVE_S:
                _save(part, done, faults)
                saved_at = time.monotonic()
    except BaseException:
        _save(part, done, faults)
        raise
    return faults


def _found(check: FileCheck, done: int) -> Iterator[tuple[Path, str | None]]:
    """Yield the files after the first `done`, each with its fault or None."""
    for first in range(done, len(check.files), _AHEAD):
        files = check.files[first : first + _AHEAD]
        yield from zip(files, check.run(check.fault_of, files), strict=True)


def _key(check: FileCheck) -> str:
    digest = hashlib.sha256(json.dumps(dict(check.depends_on), sort_keys=True).encode())
    for path in check.files:
        state = path.stat()
        name = str(path.relative_to(check.folder))
        digest.update(repr((name, state.st_size, state.st_mtime_ns)).encode("utf-8", "surrogateescape"))
        step()
    return digest.hexdigest()


def _stored(file: Path) -> _Faults | None:
    try:
        return [(name, why) for name, why in json.loads(file.read_bytes())]
    except (OSError, ValueError):  # missing or damaged
        return None


def _begun(part: Path | None) -> tuple[int, _Faults]:
    """Return how many files an ended check had looked at, and their faults."""
    if part is None:
        return 0, []
    try:
        begun = json.loads(part.read_bytes())
        return begun["done"], [(name, why) for name, why in begun["faults"]]
    except (OSError, ValueError):  # missing or damaged
        return 0, []


def _save(part: Path | None, done: int, faults: _Faults) -> None:
    if part is not None:
        with suppress(OSError):  # reported once, when the verdict is written
            write_atomic(part, json.dumps({"done": done, "faults": faults}).encode())


def _say_waiting(check: FileCheck) -> None:
    _say(f"{check.folder}: waiting for another process that checks its files")


def _say(text: str) -> None:
    print(readable(text), file=sys.stderr, flush=True)

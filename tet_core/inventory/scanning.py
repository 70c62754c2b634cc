"""The files in class folders: those that count, those that are left out, by kind, and those that cannot be read.

Files are sorted by name, runs of digits as numbers, so their order does not depend on the file system. Links to files
are followed, and so is a class folder that is a link. Inside a class folder, a link to a folder is left out, because it
could lead to a folder above it.
"""

import os
import re
import stat
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tet_core.errors import DataError

# Files that operating systems put into folders. Names that start with a dot are hidden too.
_OF_SYSTEMS = frozenset(("thumbs.db", "desktop.ini"))
_LOOK_AT_CLOCK = 64  # number of entries between two looks at the clock


class OutOfTime(Exception):  # noqa: N818 - named for what it says
    """The end of a scan whose time is over."""


class UnreadableFolder(DataError):  # noqa: N818 - named for what it says
    """The error of a folder that is there and that this process cannot read."""


class BadFile(NamedTuple):
    """A file with an ending that counts, whose content cannot be read, and the reason."""

    path: Path
    why: str


@dataclass
class Tally:
    """What a scan left out, by kind, and the time at which the scan must end.

    Attributes:
        deadline: The value of `time.monotonic` at which the scan ends; None: it has all the time it needs.
        left_out: Number of files or folders of each kind, in words for people.
    """

    deadline: float | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    _num_seen: int = 0

    def see(self) -> None:
        """Count one entry of a folder.

        Raises:
            OutOfTime: If the time is over.
        """
        self._num_seen += 1
        if self._num_seen % _LOOK_AT_CLOCK == 1 and self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTime


@dataclass(frozen=True)
class ClassFiles:
    """The files of one class: sorted paths, among them the bad ones; `is_complete` is False if the time ran out."""

    name: str
    folder: Path
    files: tuple[Path, ...] = ()
    bad: tuple[BadFile, ...] = ()
    is_complete: bool = True


def natural(text: str) -> list[tuple[int, str]]:
    """Return a sort key by which `a_2` comes before `a_10`."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", text)]


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or made by an operating system, such as `.DS_Store` or `Thumbs.db`."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def class_folders(folder: Path, tally: Tally, *, beside: str = "beside the class folders") -> list[str]:
    """Return the sorted names of the folders in a folder; count everything else in the tally.

    Raises:
        DataError: If the folder is missing, cannot be read, or one of the folders in it is a link to this folder, to
            a folder above it, or to another of the folders.
    """
    names: list[str] = []
    with _entries(folder) as entries:
        for entry in entries:
            tally.see()
            if is_hidden(entry.name):
                tally.left_out["hidden"] += 1
            elif _leads_to_folder(entry):
                names.append(entry.name)
            else:
                tally.left_out[f"{_kind_of_entry(entry)} {beside}"] += 1
    _check_links(folder, names)
    return sorted(names)


def _check_links(folder: Path, names: Sequence[str]) -> None:
    links = [name for name in names if (folder / name).is_symlink()]
    if not links:
        return
    real = {name: os.path.realpath(folder / name) for name in names}
    own = os.path.realpath(folder)
    named: dict[str, str] = {}
    for name in sorted(names, key=lambda each: each in links):
        if own == real[name] or own.startswith(real[name].rstrip("/") + "/"):
            raise DataError(f"{folder / name}: a link that leads back to {own}; remove it")
        if real[name] in named:
            raise DataError(
                f"{folder / name}: a link to the same files as folder {named[real[name]]!r}; remove one of them"
            )
        named[real[name]] = name


def _leads_to_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _kind_of_entry(entry: "os.DirEntry[str]") -> str:
    is_broken = entry.is_symlink() and not os.path.exists(entry.path)
    return "broken links" if is_broken else kind_of(entry.name)


def kind_of(name: str) -> str:
    """Return the kind of a file: its ending in lower case, or `without an ending`."""
    return os.path.splitext(name)[1].lower() or "without an ending"


def files_of_class(folder: Path, suffixes: Collection[str], tally: Tally) -> ClassFiles:
    """Return all files of a class folder with one of the endings, also those in its subfolders.

    Args:
        folder: The class folder.
        suffixes: Endings in lower case with the dot; a file's name may have any case.
        tally: Counts what is left out.

    Raises:
        DataError: If a folder cannot be read.
    """
    files: list[Path] = []
    bad: list[BadFile] = []
    open_folders = [folder]
    try:
        while open_folders:
            _read_folder(open_folders.pop(), suffixes, tally, (open_folders, files, bad))
    except OutOfTime:
        return ClassFiles(folder.name, folder, is_complete=False)
    files.sort(key=lambda path: (natural(str(path.relative_to(folder))), str(path)))
    return ClassFiles(folder.name, folder, tuple(files), tuple(sorted(bad)))


def _read_folder(
    folder: Path, suffixes: Collection[str], tally: Tally, found: tuple[list[Path], list[Path], list[BadFile]]
) -> None:
    folders, files, bad = found
    with _entries(folder) as entries:
        for entry in entries:
            tally.see()
            if is_hidden(entry.name):
                tally.left_out["hidden"] += 1
            elif entry.is_dir(follow_symlinks=False):
                folders.append(folder / entry.name)
            elif entry.is_symlink() and _leads_to_folder(entry):
                tally.left_out["links to folders"] += 1
            elif kind_of(entry.name) in suffixes:
                files.append(folder / entry.name)
                if (why := _fault_of(entry)) is not None:
                    bad.append(BadFile(folder / entry.name, why))
            else:
                tally.left_out[kind_of(entry.name)] += 1


def _fault_of(entry: "os.DirEntry[str]") -> str | None:
    """Return what can be seen to be wrong with a file without opening it."""
    try:
        state = entry.stat()
    except OSError as error:
        return f"cannot be read: {error.strerror or error}" + (" (a broken link)" if entry.is_symlink() else "")
    if not stat.S_ISREG(state.st_mode):
        return "not a file"
    return "an empty file, of 0 bytes" if state.st_size == 0 else None


def _entries(folder: Path) -> "os._ScandirIterator[str]":
    try:
        return os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{folder}: no such folder") from None
    except OSError as error:
        raise UnreadableFolder(f"{folder}: cannot be read: {error.strerror or error}") from error


def in_words(left_out: Counter[str]) -> str:
    """Return what was left out as text for people: `3 .gif, 1 links to folders`; empty if nothing was."""
    return readable(", ".join(f"{number:,} {kind}" for kind, number in sorted(left_out.items())))


def readable(text: str) -> str:
    """Return text for people in which the bytes of a file's name that are not UTF-8 are escaped, so it can be stored.

    Python keeps such bytes as lone surrogates, which neither a file nor an answer of the API can hold.
    """
    return text.encode("utf-8", "backslashreplace").decode()

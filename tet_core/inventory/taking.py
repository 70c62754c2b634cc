"""The inventory of a folder data set: its classes by part, what is left out, and the faults that show without decoding.

The files are in `folder/train/<class>/...` and `folder/test/<class>/...`, or in `folder/<class>/...`. A class's
number is the place of its name among the sorted names, from 0.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tet_core.errors import DataError
from tet_core.inventory.scanning import BadFile, ClassFiles, Tally, class_folders, files_of_class, readable

GIVEN = ("train", "test")  # the folders of a given split
_EXAMPLES = 5  # how many names an error shows before "and N more"
_FOLDER = ("dataset", "folder")
_LEAST = 2  # files that a class must have for a test set to be drawn from it


class Finding(NamedTuple):
    """A fault of a field, or a note about it: the field's path in a stage's config, and a sentence."""

    path: tuple[str, ...]
    detail: str


@dataclass(frozen=True)
class Inventory:
    """The content of a folder data set.

    Attributes:
        folder: The folder.
        names: The names of the folders of the training and of the test set; None if the split is drawn.
        train: The classes of the training set, or of all files if the split is drawn.
        test: The classes of the test set; empty if the split is drawn.
        suffixes: The endings that count.
        left_out: Number of entries that do not count, by kind.
    """

    folder: Path
    names: tuple[str, str] | None
    train: tuple[ClassFiles, ...]
    test: tuple[ClassFiles, ...]
    suffixes: frozenset[str]
    left_out: Counter[str]

    @property
    def classes(self) -> tuple[ClassFiles, ...]:
        """All class folders, of both parts."""
        return self.train + self.test

    @property
    def bad(self) -> list[BadFile]:
        """All files that can be seen to be unreadable."""
        return [file for each in self.classes for file in each.bad]

    @property
    def is_complete(self) -> bool:
        """Whether there was time to look into every class folder."""
        return all(each.is_complete for each in self.classes)

    def faults(self, num_classes: int) -> Iterator[Finding]:
        """Yield why these folders cannot be used with `num_classes`; the first fault says the most."""
        top = self.folder if self.names is None else self.folder / self.names[0]
        if not self.train:
            yield Finding(_FOLDER, f"{top}: there are no class folders in it; expected one folder for each class")
            return
        train, test = ([each.name for each in part] for part in (self.train, self.test))
        if len(train) != num_classes:
            yield Finding(
                ("dataset", "num_classes"),
                f"{top}: holds {len(train)} class folders ({some(train)}); num_classes is {num_classes}",
            )
        if self.names is not None and train != test:
            yield Finding(
                _FOLDER,
                f"{self.folder}: {', '.join(self.names)} hold different classes: "
                f"{some(sorted(set(train) ^ set(test)))} in one of them only",
            )
        yield from self.empty_classes()

    def empty_classes(self) -> Iterator[Finding]:
        """Yield the classes without a file that counts, or with too few to draw a test set from."""
        endings = ", ".join(sorted(self.suffixes))
        for label, each in enumerate(self.classes):
            if each.is_complete and not each.files:
                yield Finding(_FOLDER, f"{each.folder}: no file ends in {endings}")
            elif self.names is None and each.is_complete and len(each.files) < _LEAST:
                yield Finding(
                    _FOLDER,
                    f"{self.folder}: class {label} has only one sample; a split needs at least {_LEAST}; "
                    f"the class is {each.name!r} and the classes are {some([one.name for one in self.train])}",
                )


def take_inventory(
    folder: Path,
    suffixes: Collection[str],
    *,
    names: tuple[str, str] | None = None,
    classes: Sequence[str] | None = None,
    deadline: float | None = None,
) -> Inventory:
    """Look into the folders of a data set.

    Args:
        folder: A folder with the folders `train` and `test` in it, or with class folders.
        suffixes: Endings of the files that count, in lower case with the dot.
        names: The names of the training and of the test folder; None: `train` and `test` if they are there, else the
            split is drawn.
        classes: Names of the class folders, in the order of the labels; None: all that exist, sorted.
        deadline: As for `Tally`; class folders that it interrupts are marked as incomplete.

    Raises:
        DataError: If a folder is missing or cannot be read, or only one of `train` and `test` is there.
        OutOfTime: If there was no time to list the class folders.
    """
    tally, endings = Tally(deadline), frozenset(suffixes)
    if names is None and classes is None:
        names = _given(folder)
    if names is None:
        listed = class_folders(folder, tally)
        chosen = listed if classes is None else list(classes)
        if others := [name for name in listed if name not in chosen]:
            tally.left_out[f"folders beside the classes ({some(others)})"] += len(others)
        return Inventory(folder, None, _read(folder, chosen, endings, tally), (), endings, tally.left_out)
    beside = f"beside {' and '.join(names)}"
    others = [name for name in class_folders(folder, tally, beside=beside) if name not in names]
    if others:
        tally.left_out[f"folders {beside} ({some(others)})"] += len(others)
    listed_both = [(folder / name, class_folders(folder / name, tally)) for name in names]
    train, test = (_read(part, members, endings, tally) for part, members in listed_both)
    return Inventory(folder, names, train, test, endings, tally.left_out)


def _given(folder: Path) -> tuple[str, str] | None:
    present = [name for name in GIVEN if (folder / name).is_dir()]
    if len(present) == 1:
        raise DataError(
            f"{folder}: there is a folder {present[0]!r} and no other of {' and '.join(GIVEN)}; "
            f"expected both folders, or class folders with other names"
        )
    return GIVEN if present else None


def _read(folder: Path, names: Sequence[str], suffixes: frozenset[str], tally: Tally) -> tuple[ClassFiles, ...]:
    return tuple(files_of_class(folder / name, suffixes, tally) for name in names)


def some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    shown = readable(", ".join(names[:_EXAMPLES]))
    return shown if len(names) <= _EXAMPLES else f"{shown} and {len(names) - _EXAMPLES} more"

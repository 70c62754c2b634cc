"""Files of a folder data set that cannot be read: refused, or skipped up to a share of all files.

Skipping needs every file to be decoded before the first sample is drawn, because the split and the order depend on
which files there are. `tet_core.data.verdicts` keeps the result.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tet_core.data.dataset import DataError
from tet_core.data.verdicts import FileCheck, verdict_of
from tet_core.inventory.inspection import too_many_bad
from tet_core.inventory.scanning import BadFile, ClassFiles, in_words, readable
from tet_core.inventory.taking import Inventory, some


@dataclass(frozen=True)
class BadFileRule:
    """What to do with files that cannot be read.

    Attributes:
        max_share: The largest share of all files that may be skipped, 0 to 1; None: no file may be skipped.
        fault_of: Function that decodes a file as training does, and returns why the file cannot be read, or None if it
            can; None: no file is decoded.
        depends_on: Everything besides the files that `fault_of` depends on, as plain values.
        root: The data root, for the verdicts.
        run: Function that maps `fault_of` over the files, such as a pool's `map`.
    """

    max_share: float | None = None
    fault_of: Callable[[Path], str | None] | None = None
    depends_on: Mapping[str, Any] | None = None
    root: Path | None = None
    run: Callable[..., Any] = map


REFUSE = BadFileRule()


def settled(inventory: Inventory, rule: BadFileRule) -> tuple[Inventory, str]:
    """Return an inventory without files that cannot be read, and a text about what is left out and skipped.

    Raises:
        DataError: If one is seen to be unreadable and none may be skipped, or more are unreadable than may be skipped.
    """
    words = f"; left out: {in_words(inventory.left_out)}" if inventory.left_out else ""
    bad = inventory.bad
    if rule.max_share is None:
        if bad:
            total = sum(len(each.files) for each in inventory.classes)
            raise DataError(
                f"{bad[0].path}: {bad[0].why}; {len(bad):,} of {total:,} files cannot be read: remove them, or set "
                f"bad_files to 'skip'"
            )
        return inventory, words
    bad = sorted({*bad, *_undecodable(inventory, rule, {each.path for each in bad})})
    if not bad:
        return inventory, words
    total = sum(len(each.files) for each in inventory.classes)
    if len(bad) > rule.max_share * total:
        raise DataError(
            f"{inventory.folder}: {too_many_bad(len(bad), total, rule.max_share, f'{bad[0].path}: {bad[0].why}')}"
        )
    lines = [f"{inventory.folder}: {len(bad):,} of {total:,} files cannot be read and are skipped:"]
    lines += [f"  {each.path}: {each.why}" for each in bad]
    print(readable("\n".join(lines)), file=sys.stderr, flush=True)
    named = some([str(each.path.relative_to(inventory.folder)) for each in bad])
    return _without(inventory, {each.path for each in bad}), f"{words}; skipped {len(bad):,} bad files: {named}"


def _without(inventory: Inventory, bad: set[Path]) -> Inventory:
    """Return the inventory without the bad files.

    Raises:
        DataError: If a class has too few files left.
    """

    def kept(classes: Sequence[ClassFiles]) -> tuple[ClassFiles, ...]:
        return tuple(
            replace(each, files=tuple(path for path in each.files if path not in bad), bad=()) for each in classes
        )

    left = replace(inventory, train=kept(inventory.train), test=kept(inventory.test))
    for fault in left.empty_classes():
        raise DataError(f"without the {len(bad):,} files that cannot be read: {fault.detail}")
    return left


def _undecodable(inventory: Inventory, rule: BadFileRule, known: set[Path]) -> list[BadFile]:
    if rule.fault_of is None:
        return []
    files = [path for each in inventory.classes for path in each.files if path not in known]
    doing = "bad_files is 'skip', so all files are decoded first"
    check = FileCheck(inventory.folder, files, rule.fault_of, rule.depends_on or {}, doing, rule.run)
    return verdict_of(check, rule.root)

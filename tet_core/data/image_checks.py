"""Remarks about image files, and a check of files that an earlier version read differently.

The remarks are about pixels that use few of their bits, and about files with several frames.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tet_core.data import decoding
from tet_core.data.verdicts import FileCheck, verdict_of
from tet_core.errors import EnvironmentMismatch
from tet_core.inventory.reader import FIRST_IMAGE_SUFFIXES, IMAGE_READER, READER

_LOOKED_AT = 16  # number of files that are opened: a few show what is unusual, and all would take as long as an epoch


def peculiarities(files: Sequence[Path]) -> str:
    """Return remarks about a few of a data set's files, evenly spread over all; empty if there are none."""
    spread = [files[place * len(files) // _LOOKED_AT] for place in range(_LOOKED_AT)] if files else []
    looked_at = list(dict.fromkeys(spread))
    deep, highest, frames, depths = 0, 0, 0, 0
    for path in looked_at:
        try:
            with Image.open(path, formats=decoding.FORMATS) as image:
                decoding.check_size(image)
                frames += getattr(image, "n_frames", 1) > 1
                deep += decoding.is_deep_colour(image)
                if image.mode.startswith("I"):
                    depths += 1
                    highest = max(highest, int(np.asarray(image).max()))
        except Exception:  # a damaged file is refused or skipped when it is decoded
            continue
    of = f"of {len(looked_at)} files looked at"
    told = []
    if frames:
        told.append(f"{frames} {of} have several frames, of which the first is read")
    if depths and highest >> 12 == 0:
        told.append(
            f"{depths} {of} are grey of 16 bits, and none of their pixels is above {highest:,}: they are nearly "
            f"black unless depth is {max(highest.bit_length(), 9)}"
        )
    if deep:
        told.append(f"{deep} {of} have 16 bits for each colour, of which the upper 8 are kept")
    return "".join(f"; {each}" for each in told)


def check_reader(record: Mapping[str, Any], files: Sequence[Path], folder: Path, root: Path) -> None:
    """Check that a stage begun with an older reader of image files may continue.

    It may if this reader reads every file as the older one did.

    Args:
        record: The record of the environment in which the stage ran so far.
        files: The image files of its data set.
        folder: The data set's folder.
        root: The data root, which keeps the result.

    Raises:
        EnvironmentMismatch: A file would give other pixels, or is not one that the older reader took; or the record is
            of an unknown reader.
    """
    saved = record.get(IMAGE_READER, 1)
    if saved == READER:
        return
    depends_on = {"compared": IMAGE_READER, "saved": saved, "reader": READER}
    doing = "an older reader began the work, so all files are compared first"
    check = FileCheck(folder, files, _difference, depends_on, doing, until_first=True)
    found = verdict_of(check, root)
    if saved != 1 or found:
        detail = "".join(f": {each.path} {each.why}" for each in found)
        raise EnvironmentMismatch(
            f"{IMAGE_READER}: saved {saved!r}, now {READER!r}, so continuing would not use the same pixels{detail}. "
            f"Post the experiment again, or finish it with the version that started it"
        )


def _difference(path: Path) -> str | None:
    """Return why reader 1 read a file differently; None: it gave the same pixels, or no pixels at all."""
    if path.suffix.lower() not in FIRST_IMAGE_SUFFIXES:
        return f"ends in {path.suffix}, which reader 1 left out"
    try:
        with Image.open(path, formats=decoding.FORMATS) as image:
            decoding.check_size(image)
            if decoding.is_long(image):
                return "is so long that it is cut before it is scaled"
            if image.mode.startswith("I"):
                return "is transparent, which reader 1 did not see" if "transparency" in image.info else None
            if image.has_transparency_data:
                image.load()
                return "is transparent, which reader 1 did not see" if decoding.is_transparent(image) else None
            if image.format == "PNG" or image.format == "TIFF":
                image.load()  # their EXIF may follow the pixels
            return None if decoding.orientation(image) is None else "is turned by its EXIF, which reader 1 did not see"
    except Exception:  # such a file ends the training when it is decoded
        return None

"""Reader for AEDAT 2.0, the format of jAER, from a DVS128 camera: 128x128 pixels, two polarities.

A file starts with lines of text, each starting with `#` and ended by CRLF or LF; the first is `#!AER-DAT2.0`. Then each
event has eight bytes: address and time in µs, both unsigned, 32 bits, big-endian. The bits of the address:

| bit | is |
|---|---|
| 0 | polarity, as it was stored |
| 1 to 7 | y, the row |
| 8 to 14 | x, the column |
| 15 | set if the event comes from the camera (synchronisation) and not from a pixel; such events are left out |
| 16 to 31 | 0 for this camera |

The upper seven bits are the horizontal axis, as in tonic and in the MATLAB reader of the data set's makers; see
docs/adr/010-events-are-counted.md.
"""

from pathlib import Path

import numpy as np

from tet_core.data.dataset import DataError
from tet_core.data.decoding import OF_THE_STORAGE
from tet_core.data.events.recording import Events

SENSOR_SIZE = 128
_MAGIC = b"#!AER-DAT"
_VERSION = b"2.0"
_ENDS = (b"#End Of ASCII", b"#!END-HEADER")  # some versions of jAER end the header with one of these lines
_RECORD = np.dtype([("address", ">u4"), ("time", ">u4")])
_SPECIAL = 1 << 15


def read_aedat(path: Path) -> Events:
    """Read a recording; its events keep the order of the file.

    Raises:
        DataError: If the file cannot be read, is not AEDAT 2.0, ends in the middle of an event, or is from another
            camera; the message names the file.

    Example:
        >>> read_aedat(Path("cifar10_cat_0.aedat")).t  # doctest: +SKIP
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        if error.errno in OF_THE_STORAGE:
            raise
        raise DataError(f"{path}: cannot be read: {error}") from error
    start = _end_of_header(content, path)
    size = len(content) - start
    if size % _RECORD.itemsize:
        raise DataError(
            f"{path}: truncated: {size} bytes follow the header of {start}, and an event has {_RECORD.itemsize}"
        )
    records = np.frombuffer(content, _RECORD, offset=start)
    address, time = records["address"].astype(np.int64), records["time"].astype(np.int64)
    foreign = np.flatnonzero(address >> 16)
    if len(foreign):
        raise DataError(
            f"{path}: event {foreign[0]} has the address {address[foreign[0]]:#x}; a DVS128's are at most 0xffff, so "
            "this is a damaged file or another camera's"
        )
    of_pixels = address & _SPECIAL == 0
    address, time = address[of_pixels], time[of_pixels]
    return Events(t=time, x=address >> 8 & 0x7F, y=address >> 1 & 0x7F, p=address & 1)


def _end_of_header(content: bytes, path: Path) -> int:
    """Return the position at which the events start.

    A line belongs to the header if it starts with `#`, whatever its encoding, and holds no NUL. Otherwise an event
    whose address starts with the byte of `#` (0x23) could be mistaken for a line. A DVS128's addresses start with 0,
    so such an event comes from another camera and would be refused anyway.
    """
    first = content[: content.find(b"\n") + 1].strip()
    if not first.startswith(_MAGIC):
        what = "its header has no end of line" if content.startswith(_MAGIC) else f"it starts with {content[:16]!r}"
        raise DataError(f"{path}: not an AEDAT 2.0 file: {what}, expected #!AER-DAT2.0 and CRLF or LF")
    version = first[len(_MAGIC) :].strip()
    if version != _VERSION:
        raise DataError(f"{path}: an AEDAT file of version {version.decode('latin-1')}; only 2.0 can be read")
    start = 0
    while content[start : start + 1] == b"#":
        end = content.find(b"\n", start) + 1 or len(content)
        line = content[start:end]
        if b"\0" in line:
            break
        if not line.endswith(b"\n"):
            raise DataError(f"{path}: truncated within its header: its last line, {line[:40]!r}, has no end")
        start = end
        if line.startswith(_ENDS):
            break
    return start

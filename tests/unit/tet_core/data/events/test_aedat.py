"""AEDAT 2.0 files: events are read as they were written, and damaged files are named."""

import re
import struct
from pathlib import Path

import pytest

from tests.unit.tet_core.recordings import HEADER, record, write_aedat
from tet_core.data import DataError
from tet_core.data.events import aedat

ROWS = [(4_294_967_295, 127, 0, 1), (0, 0, 127, 0), (17, 5, 64, 1), (17, 5, 64, 1)]


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        b"#!AER-DAT2.0\n",
        b"#!AER-DAT2.0\r\n#\r\n# tab\there\n#End Of ASCII Header\r\n",
        b"#!AER-DAT2.0\r\n# HardwareInterface: DVS128\r\n",
    ],
)
def test_events_are_read_as_they_were_written(tmp_path: Path, header: bytes) -> None:
    found = aedat.read_aedat(write_aedat(tmp_path / "a.aedat", ROWS, header))
    assert list(zip(*(values.tolist() for values in found), strict=True)) == ROWS


def test_bits_are_where_the_format_says(tmp_path: Path) -> None:
    (tmp_path / "a.aedat").write_bytes(HEADER + struct.pack(">II", 0b0_0000011_0000101_1, 9))
    found = aedat.read_aedat(tmp_path / "a.aedat")
    assert [values.tolist() for values in found] == [[9], [3], [5], [1]]


def test_the_cameras_own_events_are_left_out(tmp_path: Path) -> None:
    path = write_aedat(tmp_path / "a.aedat", ROWS)
    path.write_bytes(path.read_bytes() + struct.pack(">II", 1 << 15, 20) + record(21, 1, 2, 0))
    assert aedat.read_aedat(path).t.tolist() == [4_294_967_295, 0, 17, 17, 21]


def test_a_file_with_only_a_header_has_no_events(tmp_path: Path) -> None:
    assert len(aedat.read_aedat(write_aedat(tmp_path / "a.aedat", [])).t) == 0


EVENT = record(1, 2, 3, 1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (HEADER + EVENT + EVENT[:5], f"truncated: 13 bytes follow the header of {len(HEADER)}, and an event has 8"),
        (EVENT * 3, r"not an AEDAT 2\.0 file: it starts with b'"),
        (b"", r"not an AEDAT 2\.0 file: it starts with b''"),
        (HEADER[:5], r"not an AEDAT 2\.0 file"),
        (b"#!AER-DAT1.0\r\n" + EVENT, r"an AEDAT file of version 1\.0; only 2\.0"),
        (b"#!AER-DAT3.1\r\n" + EVENT, r"an AEDAT file of version 3\.1"),
        (b"#!AER-DAT4.0\r\n" + EVENT, r"an AEDAT file of version 4\.0"),
        (HEADER + EVENT + struct.pack(">II", 0x2300_0000, 1), "event 1 has the address 0x23000000; a DVS128's are at"),
        # The first byte is '#', but no line of text follows.
        (HEADER + struct.pack(">II", 0x2300_0000, 1) + EVENT, "event 0 has the address 0x23000000"),
        (HEADER + b"#End Of ASCII Header\r\n" + b"#abcdef\n" + EVENT, "event 0 has the address 0x23616263"),
        (None, "cannot be read: .*No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "a.aedat"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {complaint}"):
        aedat.read_aedat(path)

"""Faults of a recording's clock, and headers as cameras write them."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.tet_core.recordings import write_aedat
from tet_core.config import EventFolder
from tet_core.data import DataError, load_dataset
from tet_core.data.events.aedat import read_aedat
from tet_core.data.events.clock import clock_fault
from tet_core.data.events.recording import Events, Slicing

EVEN = list(range(0, 1_000_000, 1_000))


def at(times: list[int]) -> Events:
    t = np.array(times, np.int64)
    return Events(t, t * 0, t * 0, t * 0)


@pytest.mark.parametrize("slicing", ["count", "time"])
@pytest.mark.parametrize(
    "times",
    [
        EVEN,
        [*EVEN[:500], EVEN[500] - 9_000, *EVEN[500:]],  # a little out of order
        [*EVEN[:500], EVEN[500], EVEN[100], *EVEN[501:]],  # one time is too early, but within the recording
        [2**32 - 500_000 + t if t < 500_000 else t - 500_000 for t in EVEN],  # the counter wraps
        [7] * 100,
        [0, 1, 10**9],  # too few events to tell
    ],
)
def test_a_sound_clock_has_no_fault(times: list[int], slicing: Slicing) -> None:
    assert clock_fault(at(times), slicing) is None


@pytest.mark.parametrize("slicing", ["count", "time"])
@pytest.mark.parametrize("times", [EVEN + EVEN, EVEN[500:] + EVEN[:500], [*range(50), *range(50)]])
def test_a_clock_that_is_set_back_is_a_fault(times: list[int], slicing: Slicing) -> None:
    fault = clock_fault(at(times), slicing)
    assert fault is not None
    assert "its clock is set back by" in fault


@pytest.mark.parametrize(
    "times",
    [
        [0, *(10**9 + t for t in EVEN)],
        [*EVEN, 2**31 - 1],
        [*EVEN[:500], 1_500_000_000, *EVEN[500:]],
        [3_000_000_000 + t for t in EVEN] + EVEN,  # set back by more than half of the counter: it looks like a wrap
    ],
)
def test_times_far_from_all_others_are_a_fault_only_if_slices_have_equal_time(times: list[int]) -> None:
    assert clock_fault(at(times), "count") is None
    fault = clock_fault(at(times), "time")
    assert fault is not None
    assert "more than half of the slices of equal time would be empty" in fault


@pytest.mark.parametrize(
    "header",
    [
        "#!AER-DAT2.0\r\n# 25 °C\r\n".encode("latin-1"),
        "#!AER-DAT2.0\n# 25 °C, Zürich\n".encode(),
        b"#!AER-DAT2.0\r\n# form\x0cfeed \x1b[1m\r\n",
    ],
)
def test_a_line_of_the_header_may_hold_any_text(tmp_path: Path, header: bytes) -> None:
    assert read_aedat(write_aedat(tmp_path / "a.aedat", [(5, 1, 2, 1)], header)).t.tolist() == [5]


def test_a_header_without_an_end_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.aedat: truncated within its header: its last line, b'# 2025', has no end"):
        read_aedat(write_aedat(tmp_path / "a.aedat", [], b"#!AER-DAT2.0\r\n# 2025"))
    with pytest.raises(DataError, match="its header has no end of line"):
        read_aedat(write_aedat(tmp_path / "b.aedat", [], b"#!AER-DAT2.0"))


def test_recordings_with_a_faulty_clock_are_refused_or_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        for number in range(10):
            times = EVEN[:20] * (2 if (name, number) == ("b", 3) else 1)
            write_aedat(tmp_path / "own" / name / f"{number}.aedat", [(t, 1, 2, 1) for t in times])
    fields = {"folder": "own", "num_classes": 2, "input_size": 8}
    with pytest.raises(DataError, match=r"b/3\.aedat: its clock is set back by 19,000 µs at event 20"):
        load_dataset(EventFolder.model_validate(fields), tmp_path, T=2)
    skipping = EventFolder.model_validate({**fields, "bad_files": "skip", "max_bad_share": 0.05})
    dataset = load_dataset(skipping, tmp_path, T=2)
    assert len(dataset.train) + len(dataset.test) == 19
    assert dataset.source.endswith("; skipped 1 bad files: b/3.aedat")
    assert "b/3.aedat: its clock is set back" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"1 of 20 files cannot be read, .*max_bad_share is 0\.04, so at most 0"):
        load_dataset(skipping.model_copy(update={"max_bad_share": 0.04}), tmp_path, T=2)

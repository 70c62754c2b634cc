"""Our AEDAT 2.0 reader compared with tonic's, event by event, on recordings that neither library wrote.

    python -m benchmarks.checks.tonic_aedat [FILE ...]

The recordings are made here from random numbers, with headers as jAER writes them. Files named on the command line, for
instance of CIFAR10-DVS, are compared too. tonic 1.7's `read_dvs_128` expects two values from the function that reads
the header, but this function returns three, because it also reads the time of the recording. The third value is removed
here; everything else is tonic's own code.
"""

import random
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tonic import io as tonic_io

from benchmarks.results_file import write
from tet_core.data.events import aedat

NUM_RECORDINGS = 200
MAX_EVENTS = 2_000
HEADERS = (
    "#!AER-DAT2.0\r\n",
    "#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    "# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event\r\n"
    "# Timestamps tick is 1 us\r\n",
    "#!AER-DAT2.0\r\n# created Thu Jan 01 12:00:00 UTC 1970\r\n#\r\n# hardware: DVS128\r\n",
)


def packed(drawn: random.Random) -> bytes:
    """Return a recording with any address of the camera, and times that rise, fall back, and wrap."""
    content = drawn.choice(HEADERS).encode()
    time = drawn.randrange(1 << 32)
    for _ in range(drawn.randrange(MAX_EVENTS + 1)):
        time = (time + drawn.randrange(-20, 2_000)) % (1 << 32)
        content += struct.pack(">LL", drawn.randrange(1 << 15), time)
    return content


def by_tonic(path: Path) -> Any:
    """Return the events of a file, read by tonic's reader for this camera."""
    whole = tonic_io.read_aedat_header_from_file
    tonic_io.read_aedat_header_from_file = lambda file: whole(file)[:2]
    try:
        return tonic_io.read_dvs_128(str(path))[1]
    finally:
        tonic_io.read_aedat_header_from_file = whole


def num_differences(path: Path) -> tuple[int, dict[str, int]]:
    """Return how many events a file has, and in how many of them t, x, y and p differ."""
    own, theirs = aedat.read_aedat(path), by_tonic(path)
    if len(own.t) != len(theirs):
        raise ValueError(f"{path.name}: we read {len(own.t)} events, tonic {len(theirs)}")
    return len(theirs), {axis: int(np.sum(getattr(own, axis) != theirs[axis])) for axis in own._fields}


def main(files: list[str]) -> int:
    """Compare all recordings; return the exit status."""
    drawn = random.Random(0)
    num_events = 0
    differences = dict.fromkeys(("t", "x", "y", "p"), 0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(file) for file in files]
        for number in range(NUM_RECORDINGS):
            paths.append(Path(folder, f"{number}.aedat"))
            paths[-1].write_bytes(packed(drawn))
        for path in paths:
            events, found = num_differences(path)
            num_events += events
            differences = {axis: differences[axis] + found[axis] for axis in differences}
    result = {
        "recordings_packed_here": NUM_RECORDINGS,
        "recordings_given": len(files),
        "events": num_events,
        "events_that_differ_in": differences,
        "agree": not any(differences.values()),
    }
    file = write("tonic_aedat", ("numpy", "tonic"), result)
    print(*(f"{key}: {value}" for key, value in result.items()), f"written to {file.name}", sep="\n")
    return 0 if result["agree"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The files in the folders of a data set, found without decoding a file and without torch.

The readers on the nodes and the API's validation both use it, so they agree on which files count.
"""

import os
from pathlib import Path

from tet_core.inventory.inspection import Inspection as Inspection
from tet_core.inventory.inspection import inspect as inspect
from tet_core.inventory.reader import IMAGE_READER as IMAGE_READER
from tet_core.inventory.reader import reader_of as reader_of
from tet_core.inventory.shares import SplitShares as SplitShares


def default_root() -> Path:
    """Return the data root to use if none is given: `$TET_DATA`, else `~/.cache/tet_core`."""
    return Path(os.environ.get("TET_DATA") or Path.home() / ".cache" / "tet_core")

"""A test that `make help` prints the duration of each target, even before anything is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.root import ROOT


def test_help_lists_every_target_with_its_duration_before_anything_is_installed(tmp_path: Path) -> None:
    for name in ("Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    # If make runs the tests, these variables would pass its options on to the make below, and change the output.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    printed = subprocess.run(
        ["make", "help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    lines = [
        re.fullmatch(r"  make ([a-z-]+) +.+\((?:[^()]*(?:second|minute|hour)s?[^()]*|at once)\)", line)
        for line in printed.splitlines()
    ]
    assert [match and match[1] for match in lines] == targets
    assert len(targets) > 20

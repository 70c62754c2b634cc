"""The report of coverage: `python -m tests.tools.coverage_report FILE` reads the output of `coverage json`.

The total of coverage.py counts lines and branches together, and both packages together. Here the tests must reach a
share of the lines and a share of the branches of each package.
"""

import json
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

# Percent of lines and of branches that the tests must reach.
MIN_LINES, MIN_BRANCHES = 90, 80
PACKAGES = ("service", "tet_core")
_MAX_SHOWN = 100  # characters of line numbers


@dataclass(frozen=True)
class Reached:
    """How many lines and branches of a package the tests reach.

    Attributes:
        lines: Number of lines that were run.
        num_lines: Number of all lines.
        branches: Number of branches that were taken.
        num_branches: Number of all branches.
    """

    lines: int
    num_lines: int
    branches: int
    num_branches: int

    @classmethod
    def of(cls, summaries: list[dict[str, Any]]) -> "Reached":
        """Return the sums over the summaries of some files."""
        keys = ("covered_lines", "num_statements", "covered_branches", "num_branches")
        return cls(*(sum(each[key] for each in summaries) for key in keys))

    def holds(self) -> bool:
        """Return whether both shares are large enough."""
        return (
            self.lines * 100 >= MIN_LINES * self.num_lines and self.branches * 100 >= MIN_BRANCHES * self.num_branches
        )

    def __str__(self) -> str:
        lines, branches = 100 * self.lines / self.num_lines, 100 * self.branches / max(self.num_branches, 1)
        missing = self.num_lines - self.lines, self.num_branches - self.branches
        return f"{lines:.1f} % of lines, {branches:.1f} % of branches ({missing[0]} and {missing[1]} not reached)"


def report(measured: dict[str, Any]) -> tuple[list[str], bool]:
    """Return the lines to print, and whether the tests reach enough of every package.

    Args:
        measured: The output of `coverage json`.
    """
    files: dict[str, dict[str, Any]] = measured["files"]
    printed = []
    for path, file in sorted(files.items(), key=lambda item: (-len(item[1]["missing_lines"]), item[0])):
        if file["missing_lines"] or file["missing_branches"]:
            printed.append(_hole(path, file))
    packages = {
        package: Reached.of([file["summary"] for path, file in files.items() if path.startswith(f"{package}/")])
        for package in PACKAGES
    }
    printed += ["", *(f"{package}: {reached}" for package, reached in packages.items())]
    short = [package for package, reached in packages.items() if not reached.holds()]
    if short:
        printed.append(
            f"the tests reach too little of {', '.join(short)}: at least {MIN_LINES} % of lines and "
            f"{MIN_BRANCHES} % of branches are required"
        )
    return printed, not short


def ranges(lines: list[int]) -> str:
    """Return line numbers as ranges: `3-5, 9`."""
    starts = [line for before, line in pairwise([-1, *lines]) if line != before + 1]
    ends = [line for line, after in pairwise([*lines, sys.maxsize]) if after != line + 1]
    shown = [str(start) if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True)]
    return ", ".join(shown)


def _hole(path: str, file: dict[str, Any]) -> str:
    missing, branches = file["missing_lines"], len(file["missing_branches"])
    shown = ranges(missing)
    if len(shown) > _MAX_SHOWN:
        shown = shown[:_MAX_SHOWN].rpartition(",")[0] + ", ..."
    return f"{len(missing):5} lines {branches:4} branches  {path}{': ' if shown else ''}{shown}"


def main() -> int:
    """Print the report on the file that the first argument names; return 1 if the tests reach too little, else 0."""
    printed, holds = report(json.loads(Path(sys.argv[1]).read_text()))
    print(*printed, sep="\n")
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())

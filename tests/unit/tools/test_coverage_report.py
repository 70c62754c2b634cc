"""Tests of the report of coverage: the required shares, and the list of lines that are not reached."""

from typing import Any

import pytest

from tests.tools.coverage_report import ranges, report


def measured(path: str, lines: int, branches: int) -> dict[str, Any]:
    """Return the measurements of a file of 100 lines and 100 branches, of which `lines` and `branches` are reached."""
    summary = {"covered_lines": lines, "num_statements": 100, "covered_branches": branches, "num_branches": 100}
    return {
        path: {
            "summary": summary,
            "missing_lines": list(range(1, 101 - lines)),
            "missing_branches": [[1, line] for line in range(100 - branches)],
        }
    }


@pytest.mark.parametrize(("lines", "branches", "holds"), [(90, 80, True), (89, 100, False), (100, 79, False)])
def test_a_package_must_reach_both_shares(lines: int, branches: int, holds: bool) -> None:
    files = measured("service/a.py", lines, branches) | measured("tet_core/a.py", 100, 100)
    printed, is_enough = report({"files": files})
    message = "the tests reach too little of service: at least 90 % of lines and 80 % of branches are required"
    assert is_enough is holds
    assert (message in printed) is not holds


def test_each_package_must_reach_the_shares_by_itself() -> None:
    printed, is_enough = report({"files": measured("service/a.py", 100, 100) | measured("tet_core/a.py", 85, 100)})
    assert not is_enough
    assert "tet_core: 85.0 % of lines, 100.0 % of branches (15 and 0 not reached)" in printed


def test_the_file_with_the_most_missing_lines_comes_first_and_complete_files_are_left_out() -> None:
    files = measured("service/a.py", 99, 100) | measured("service/b.py", 95, 98) | measured("tet_core/c.py", 100, 100)
    printed, _ = report({"files": files})
    assert printed[:3] == [
        "    5 lines    2 branches  service/b.py: 1-5",
        "    1 lines    0 branches  service/a.py: 1",
        "",
    ]


@pytest.mark.parametrize(("lines", "shown"), [([], ""), ([7], "7"), ([1, 2, 3, 9, 11, 12], "1-3, 9, 11-12")])
def test_line_numbers_are_shown_as_ranges(lines: list[int], shown: str) -> None:
    assert ranges(lines) == shown

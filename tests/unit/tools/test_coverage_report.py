"""Each package has to reach its share of lines and of branches; the largest holes come first."""

from typing import Any

import pytest

from tests.tools.coverage_report import ranges, report


def measured(path: str, lines: int, branches: int) -> dict[str, Any]:
    """A file of 100 lines and 100 branches, of which so many are reached."""
    summary = {"covered_lines": lines, "num_statements": 100, "covered_branches": branches, "num_branches": 100}
    return {
        path: {
            "summary": summary,
            "missing_lines": list(range(1, 101 - lines)),
            "missing_branches": [[1, line] for line in range(100 - branches)],
        }
    }


@pytest.mark.parametrize(("lines", "branches", "holds"), [(90, 80, True), (89, 100, False), (100, 79, False)])
def test_a_package_has_to_hold_both_shares(lines: int, branches: int, holds: bool) -> None:
    files = measured("service/a.py", lines, branches) | measured("tet_core/a.py", 100, 100)
    printed, held = report({"files": files})
    assert held is holds
    assert ("too little of service: 90 % of lines, 80 % of branches are wanted" in printed) is not holds


def test_one_package_does_not_make_up_for_the_other() -> None:
    printed, held = report({"files": measured("service/a.py", 100, 100) | measured("tet_core/a.py", 85, 100)})
    assert not held
    assert "tet_core: 85.0 % of lines, 100.0 % of branches (15 and 0 not reached)" in printed


def test_the_largest_hole_comes_first_and_what_is_whole_is_left_out() -> None:
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

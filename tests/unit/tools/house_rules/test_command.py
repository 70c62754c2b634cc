"""Tests of `python -m tests.tools.house_rules`: its output and its exit status."""

import subprocess
import sys
from pathlib import Path

from tests.unit.tools.house_rules.conftest import Tree

KEEPS_ALL = {
    "service/it.py": '"""A module."""\n\n\nclass It: ...\n',
    "tests/test_it.py": "from service.it import It\n\nassert It()\n",
    "docs/guide.md": "# Guide\n",
}


def run(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.tools.house_rules", str(root)], capture_output=True, text=True, check=False
    )


def test_a_tree_that_keeps_all_rules_passes(tree: Tree, tmp_path: Path) -> None:
    tree(KEEPS_ALL)
    process = run(tmp_path)
    assert (process.returncode, process.stderr) == (0, "")
    assert "one name, one class: kept" in process.stdout
    assert "3 files, 0 findings" in process.stdout


def test_a_tree_that_breaks_rules_fails_with_a_line_for_each_finding(tree: Tree, tmp_path: Path) -> None:
    tree({**KEEPS_ALL, "tet_core/it.py": "class It: ...\n", "docs/guide.md": "Start anew.\n"})
    process = run(tmp_path)
    assert process.returncode == 1
    assert "  tet_core/it.py:1: class It is defined in service/it.py:4 already" in process.stdout
    assert "  docs/guide.md:1: " in process.stdout
    assert "3 findings" in process.stdout  # the third: two modules are named `it`

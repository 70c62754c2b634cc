"""Tests of the rules against repeated names of classes and modules."""

import pytest

from tests.tools.house_rules.names import repeated_classes, repeated_modules
from tests.unit.tools.house_rules.conftest import Tree


def test_the_second_definition_of_a_class_name_is_found(tree: Tree) -> None:
    files = tree({"service/queue.py": "class Turn: ...\n", "tet_core/study.py": "\n\nclass Turn: ...\n"})
    (finding,) = repeated_classes(files)
    assert str(finding).startswith("tet_core/study.py:3: class Turn is defined in service/queue.py:1 already; give")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("service/b.py", "class Turns: ...\n"),
        ("tests/test_a.py", "class Turn: ...\n"),
        ("service/b.py", "def work() -> None:\n    Turn = 3\n"),
    ],
)
def test_other_names_variables_and_classes_of_tests_are_no_second_definition(tree: Tree, path: str, code: str) -> None:
    assert not list(repeated_classes(tree({"service/a.py": "class Turn: ...\n", path: code})))


def test_private_classes_may_repeat(tree: Tree) -> None:
    code = "class _Turn: ...\n"
    assert not list(repeated_classes(tree({"service/a.py": code, "service/b.py": code})))


def test_a_class_within_a_class_counts(tree: Tree) -> None:
    files = tree({"service/a.py": "class Turn: ...\n", "service/b.py": "class Queue:\n    class Turn: ...\n"})
    assert [(finding.path, finding.line) for finding in repeated_classes(files)] == [("service/b.py", 2)]


def test_a_module_name_that_repeats_is_found(tree: Tree) -> None:
    files = tree(
        {"service/health.py": "", "tet_core/health.py": "", "tet_core/__init__.py": "", "service/__init__.py": ""}
    )
    (finding,) = repeated_modules(files)
    assert (finding.path, finding.what) == (
        "tet_core/health.py",
        "module health has the same name as service/health.py",
    )

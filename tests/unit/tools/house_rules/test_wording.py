"""Tests of the rules on `# fmt: skip` and on words; a phrase is found even if it continues on the next line."""

import pytest

from tests.tools.house_rules.wording import dialect, fmt_skips
from tests.unit.tools.house_rules.conftest import Tree


def test_the_eleventh_place_that_switches_the_formatter_off_is_found(tree: Tree) -> None:
    ten = {f"service/m{number}.py": "x = 1  # fmt: skip\n" for number in range(10)}
    assert not list(fmt_skips(tree(ten)))
    (finding,) = fmt_skips(tree({**ten, "tests/test_it.py": "y = 1\nx = 1  # fmt: off\n"}))
    assert str(finding).startswith("tests/test_it.py:2: the formatter is switched off in 11 places, of which 10 are")


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("service/it.py", "x = 1  # it starts anew\n", 1),
        ("docs/guide.md", "The driver\nis told.\n", 2),
        ("docs/guide.md", "# It\n\nWhoever comes first.\n", 3),
        ("service/it.py", "# what the driver has\n# come to by then\n", 1),
        ("service/it.py", 'raise ValueError("ends of its own accord")\n', 1),
        ("Makefile", "test: ## whichever is there\n", 1),
        ("CHANGELOG.md", "- All are told.\n", 1),
    ],
)
def test_listed_words_are_found_with_advice(tree: Tree, path: str, text: str, line: int) -> None:
    findings = list(dialect(tree({path: text})))
    assert [(finding.path, finding.line) for finding in findings] == [(path, line)]
    assert findings[0].cure.startswith("write: ")


@pytest.mark.parametrize("text", ["start_anew = 1\n", "# the renewal is toldable\n", "# it says so again\n"])
def test_listed_words_within_longer_words_are_no_findings(tree: Tree, text: str) -> None:
    assert not list(dialect(tree({"service/it.py": text})))

"""A fixture that writes small trees of files for the tests of the house rules."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.tools.house_rules.tree import Source, sources

Tree = Callable[[dict[str, str]], list[Source]]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a function that writes texts to files, by path, and returns these files as the house rules read them."""

    def write(files: dict[str, str]) -> list[Source]:
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(dedent(text))
        return sources(tmp_path)

    return write

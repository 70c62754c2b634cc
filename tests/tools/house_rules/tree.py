"""The files that the rules check, and the findings of a rule."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = ("service", "tet_core")
_FOLDERS = (*PACKAGES, "tests", "benchmarks", "docs", "examples", "deploy", ".ci")
_SUFFIXES = (".py", ".md", ".yaml", ".yml", ".toml", ".c", ".h", ".mako")


@dataclass(frozen=True, order=True)
class Finding:
    """A place that breaks a rule.

    Attributes:
        path: The file, relative to the root.
        line: Number of the line, from 1.
        what: The fault.
        cure: How to mend it.
    """

    path: str
    line: int
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}; {self.cure}"


@dataclass(frozen=True)
class Source:
    """A file of the tree.

    Attributes:
        path: Its path relative to the root, with slashes.
        text: Its content.
    """

    path: str
    text: str

    @property
    def package(self) -> str:
        """Return the top folder of its path; an empty text for a file at the root."""
        return self.path.partition("/")[0] if "/" in self.path else ""

    @property
    def module(self) -> str:
        """Return the dotted name by which Python imports it."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_python(self) -> bool:
        """Return whether it is a Python module."""
        return self.path.endswith(".py")

    @property
    def is_of_the_rules(self) -> bool:
        """Return whether it belongs to the rules or their tests, which contain the forbidden words and names."""
        return self.path.startswith(("tests/tools/house_rules/", "tests/unit/tools/house_rules/"))

    @cached_property
    def tree(self) -> ast.Module:
        """Return the syntax tree of a Python module."""
        return ast.parse(self.text, self.path)

    def finding(self, line: int, what: str, cure: str) -> Finding:
        """Return a finding in this file."""
        return Finding(self.path, line, what, cure)


def sources(root: Path) -> list[Source]:
    """Return the files of a checkout that the rules check, in the order of their paths."""
    return [Source(path.relative_to(root).as_posix(), path.read_text()) for path in sorted(_paths(root))]


def python(files: list[Source], *packages: str) -> list[Source]:
    """Return the Python modules in some folders at the root."""
    return [file for file in files if file.is_python and file.package in packages]


def _paths(root: Path) -> Iterator[Path]:
    yield from (path for path in root.iterdir() if path.name == "Makefile" or path.suffix in _SUFFIXES)
    for folder in _FOLDERS:
        for path in (root / folder).rglob("*"):
            if path.suffix in _SUFFIXES and path.is_file():
                yield path

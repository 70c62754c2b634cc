"""The rule against private names of the packages in tests and benchmarks.

A test that uses a private name breaks when somebody changes the inside of a class, even if the class behaves as before.
"""

import ast
import re
from collections.abc import Iterator

from tests.tools.house_rules.tree import PACKAGES, Finding, Source, python

_USERS = ("tests", "benchmarks")
# Public names that begin with an underscore: those of named tuples and of SQLAlchemy's rows, and `os._exit`.
_PUBLIC = frozenset({"_asdict", "_exit", "_fields", "_make", "_mapping", "_replace"})
_PRIVATE = re.compile(r"_[a-zA-Z]\w*")
# A private name within a text, as in monkeypatch.setattr("service.x._name", ...), or in code for another process.
_WITHIN_TEXT = re.compile(r"\w\.(_[a-zA-Z]\w*)")
_CURE = "use public names, or make the name public if the test needs it"


def private_names(files: list[Source]) -> Iterator[Finding]:
    """Find uses of private names of the two packages, and imports of private names from anywhere in the tree."""
    packages = {name for file in python(files, *PACKAGES) for name in _defined(file.tree)} - _PUBLIC
    for file in python(files, *_USERS):
        if file.is_of_the_rules:
            continue
        foreign = packages - _defined(file.tree)
        for line, name in sorted(set(_used(file.tree, foreign))):
            yield file.finding(line, f"{name} is private", _CURE)


def _used(tree: ast.Module, foreign: set[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                if module.partition(".")[0] in (*PACKAGES, *_USERS):
                    yield from ((node.lineno, each.name) for each in names if _PRIVATE.fullmatch(each.name))
            case ast.Attribute(value=value, attr=attr) if attr in foreign and not _is_self(value):
                yield node.lineno, attr
            case ast.Call(func=ast.Name(id="getattr" | "setattr") | ast.Attribute(attr="setattr"), args=arguments):
                for argument in arguments:
                    if isinstance(argument, ast.Constant) and argument.value in foreign:
                        yield node.lineno, str(argument.value)
            case ast.Constant(value=str(text)):
                yield from ((node.lineno, name) for name in _WITHIN_TEXT.findall(text) if name in foreign)


def _defined(tree: ast.Module) -> set[str]:
    """Return the private names of the functions, classes, attributes and variables that a module defines."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return {name for name in names if _PRIVATE.fullmatch(name)}


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")

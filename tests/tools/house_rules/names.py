"""The rules against two classes, or two modules, with the same name."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.tools.house_rules.tree import PACKAGES, Finding, Source, python

# Module names that may repeat, each with the reason why a reader knows which module is meant.
REPEATED_MODULES: dict[str, str] = {
    "__init__": "a package",
    "__main__": "the module that `python -m` runs",
    "errors": "the errors of each of the two packages",
    "losses": "tet_core.config.losses configures tet_core.losses",
}


def repeated_classes(files: list[Source]) -> Iterator[Finding]:
    """Find public classes of the two packages that have the same name as an earlier class."""
    first: dict[str, str] = {}
    for file in python(files, *PACKAGES):
        for node in ast.walk(file.tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                if node.name in first:
                    what = f"class {node.name} is defined in {first[node.name]} already"
                    yield file.finding(node.lineno, what, "give each a name that says what it is")
                first.setdefault(node.name, f"{file.path}:{node.lineno}")


def repeated_modules(files: list[Source]) -> Iterator[Finding]:
    """Find modules of the two packages that have the same name as a module in another folder."""
    named: dict[str, list[Source]] = defaultdict(list)
    for file in python(files, *PACKAGES):
        named[file.path.rpartition("/")[2].removesuffix(".py")].append(file)
    for name, (first, *others) in sorted(named.items()):
        for file in others if name not in REPEATED_MODULES else ():
            what = f"module {name} has the same name as {first.path}"
            yield file.finding(1, what, "rename one, or list it with a reason in tests/tools/house_rules/names.py")

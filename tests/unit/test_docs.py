"""Tests that links, commands, targets, files, modules and settings in the documentation exist."""

import importlib
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from service.cli.main import app
from service.settings import Settings, variable
from tests.root import ROOT

# The template's links are examples.
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {ROOT / "docs/adr/000-template.md"})
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
COMMANDS = set(typer.main.get_group(app).commands)
# Variables that each node reads, and that are no settings of the service.
OF_NODES = {"TET_KERNELS", "TET_KERNEL_CACHE"}
# Variables that only docker-compose.yml reads.
OF_COMPOSE = {"TET_RAY_TOKEN", "TET_POSTGRES_PASSWORD", "TET_WORKER_CPUS"}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def repository_files() -> set[str]:
    """Return every file of the checkout that git does not ignore, and every folder that holds one."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    folders = {str(parent) for file in files for parent in Path(file).parents}
    return {*files, *folders}


def in_code(page: Path) -> Iterator[str]:
    """Yield every text between backticks."""
    yield from re.findall(r"`([^`\n]+)`", prose(page))


def in_blocks(page: Path) -> Iterator[str]:
    """Yield every line of the blocks of code, fenced or indented."""
    text = page.read_text()
    for block in re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    yield from re.findall(r"^    (\S.*)$", prose(page), re.MULTILINE)


@each_page
def test_the_target_of_every_link_exists(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@each_page
def test_every_command_and_every_target_exists(page: Path) -> None:
    lines = [*in_code(page), *in_blocks(page)]
    begin = r"^(?:\$ )?(?:\.venv/bin/)?"
    commands = {match[1] for line in lines if (match := re.match(begin + r"tet ([a-z][a-z-]*)", line))}
    targets = {match[1] for line in lines if (match := re.match(begin + r"make ([a-z][a-z-]*)", line))}
    assert (commands - COMMANDS, targets - TARGETS) == (set(), set())


def test_every_command_is_in_a_guide() -> None:
    guides = "\n".join(page.read_text() for page in (ROOT / "docs").rglob("*.md"))
    assert [name for name in COMMANDS if f"tet {name}" not in guides] == []


def test_every_target_has_a_description_and_is_in_the_guide_for_contributors() -> None:
    described = set(re.findall(r"^([a-z-]+):.*## .+", MAKEFILE, re.MULTILINE))
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    assert described == TARGETS
    assert [name for name in sorted(TARGETS) if f"make {name}" not in guide] == []


@each_page
def test_every_path_in_the_repository_exists(page: Path) -> None:
    tops = ("service", "tet_core", "tests", "benchmarks", "docs", "examples", "deploy")
    named = {
        word for code in in_code(page) for word in code.split() if word.startswith(tuple(f"{top}/" for top in tops))
    }
    plain = {path.partition("::")[0].rstrip("/") for path in named if not re.search(r"[*<{…]|NAME|NNN", path)}
    assert plain - repository_files() == set()


@each_page
def test_every_module_and_every_name_in_it_exists(page: Path) -> None:
    named = {code for code in in_code(page) if re.fullmatch(r"(service|tet_core|tests|benchmarks)(\.\w+)+", code)}
    assert [name for name in sorted(named) if not exists(name)] == []


def exists(dotted: str) -> bool:
    """Return whether a dotted name is that of a folder, a module, or an object in a module."""
    parts, num_of_module = dotted.split("."), None
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        if path.is_dir() or path.with_suffix(".py").exists():
            num_of_module = length
            break
    if num_of_module is None:
        return False
    if num_of_module == len(parts):
        return True
    value: Any = importlib.import_module(".".join(parts[:num_of_module]))
    for name in parts[num_of_module:]:
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True


def test_every_test_that_a_recipe_names_exists() -> None:
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    named = {code for code in in_code(ROOT / "CONTRIBUTING.md") if re.fullmatch(r"test_\w+", code)}
    assert named
    assert named - defined == set()


@each_page
def test_every_variable_is_a_setting(page: Path) -> None:
    known = {variable(name) for name in Settings.model_fields} | OF_NODES | OF_COMPOSE
    named = {word for code in in_code(page) for word in re.findall(r"\bTET_[A-Z_]+\b", code)}
    assert {name for name in named if not name.endswith("_")} - known == set()


def test_the_cluster_passes_on_the_settings_that_its_guide_names() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    guide = (ROOT / "docs/guides/cluster.md").read_text()
    section = re.search(r"^## Settings\n(.*?)(?=^## |\Z)", guide, re.MULTILINE | re.DOTALL)
    assert section is not None
    named = set(re.findall(r"`(TET_[A-Z_]+)`", section[1]))
    passed = set(re.findall(r"^      (TET_[A-Z_]+): \$\{\1:-\}$", compose, re.MULTILINE))
    assert named == passed


def test_every_room_is_in_the_tree_of_the_architecture() -> None:
    tree = re.search(
        r"^## The tree\n\n```text\n(.*?)^```", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert tree is not None
    words = set(re.findall(r"[\w./]+", tree[1]))
    rooms = [path for top in ("service", "service/runner", "tet_core") for path in (ROOT / top).iterdir()]
    named = {f"{path.name}/" for path in rooms if (path / "__init__.py").exists()}
    named |= {path.stem for top in ("service", "tet_core") for path in (ROOT / top).glob("*.py")} - {"__init__"}
    assert sorted(name for name in named if not {name, f"{name}.py"} & words) == []


def test_every_decision_is_listed_with_a_status() -> None:
    folder = ROOT / "docs/adr"
    files = sorted(file for file in folder.glob("[0-9]*.md") if not file.name.startswith("000-"))
    numbers = [int(file.name[:3]) for file in files]
    assert numbers == list(range(1, len(files) + 1))
    listed = re.findall(r"^- \[(\d{3})\]\(([\w.-]+)\)", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == [(file.name[:3], file.name) for file in files]
    for file in files:
        status = re.search(r"^## Status\n\n(.+?)\n\n## Context", file.read_text(), re.MULTILINE | re.DOTALL)
        assert status is not None, file.name
        assert re.match(r"(Accepted|Superseded by \[\d{3}\])", status[1]), (file.name, status[1])


def test_a_superseded_decision_and_its_successor_link_to_each_other() -> None:
    folder = ROOT / "docs/adr"
    text = {file.name[:3]: file.read_text() for file in folder.glob("[0-9]*.md")}
    forward = {
        (number, later)
        for number, page in text.items()
        for later in re.findall(r"(?:Superseded|superseded) (?:in part )?by \[(\d{3})\]", page)
    }
    assert forward
    for earlier, later in forward:
        assert later > earlier
        assert re.search(rf"[Ss]upersedes[^.]*\[{earlier}\]", text[later]), (earlier, later)

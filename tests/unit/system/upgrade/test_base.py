"""Tests of the checkout of the version before: it has the files of its commit, unchanged, and is set up."""

import subprocess
from pathlib import Path

import pytest

from tests.system.upgrade.base import BaseMissing, prepare

MAKEFILE = "setup:\n\techo made >> made\n"
BROKEN = "setup:\n\techo no such package >&2; false\n"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path, makefile: str = MAKEFILE) -> str:
    """Make a repository of two commits; return the hash of the first one."""
    git(folder, "init", "-q")
    (folder / "Makefile").write_text(makefile)
    git(folder, "add", "Makefile")
    git(folder, "commit", "-q", "-m", "first")
    first = git(folder, "rev-parse", "HEAD")
    (folder / "Makefile").write_text("setup:\n\tfalse\n")
    git(folder, "commit", "-q", "-a", "-m", "second")
    return first


def test_the_version_before_is_set_up_by_its_own_makefile_and_reused(tmp_path: Path) -> None:
    first = repository(tmp_path)
    tree = prepare(tmp_path, first)
    assert prepare(tmp_path, first) == tree == tmp_path / ".upgrade" / first[:12]
    assert (tree / "made").read_text() == "made\n" * 2


def test_the_version_before_is_made_again_after_its_folder_was_removed(tmp_path: Path) -> None:
    first = repository(tmp_path)
    subprocess.run(["rm", "-r", prepare(tmp_path, first)], check=True)
    assert (prepare(tmp_path, first) / "Makefile").read_text() == MAKEFILE


def test_a_history_without_the_commit_is_refused(tmp_path: Path) -> None:
    repository(tmp_path)
    with pytest.raises(BaseMissing, match=r"does not have commit 0{40}.*it needs a full clone"):
        prepare(tmp_path, "0" * 40)


def test_a_checkout_that_was_changed_is_refused(tmp_path: Path) -> None:
    first = repository(tmp_path)
    (prepare(tmp_path, first) / "Makefile").write_text("setup:\n")
    with pytest.raises(BaseMissing, match="was changed: M Makefile: remove it"):
        prepare(tmp_path, first)


def test_the_output_of_a_failed_setup_is_in_the_error(tmp_path: Path) -> None:
    first = repository(tmp_path, BROKEN)
    with pytest.raises(BaseMissing, match=r"(?s)`make setup` of .* failed:.*no such package"):
        prepare(tmp_path, first)

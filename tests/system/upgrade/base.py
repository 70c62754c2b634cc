"""The version before: a working tree of its commit, with an environment of its own.

Both are kept in `.upgrade/` of the checkout, which git ignores, so that only the first run installs them.
They need as much disk space as another `.venv/`. To remove them: `git worktree remove --force .upgrade/<commit>`.
"""

import os
import subprocess
from pathlib import Path

# The last commit before the restructuring of the packages. Data that it has stored must still open.
BASE = "5ce0ebf1ec3cc657499c7597ffb0112bbabd5b32"
CACHE = ".upgrade"
# The variables by which `make` passes its options to a `make` that it starts.
_OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")


class BaseMissing(Exception):  # noqa: N818 - "Missing" is the clearer name
    """The lack of the version before. The message has the reason and the next step."""


def prepare(checkout: Path, commit: str = BASE) -> Path:
    """Return the folder of the version before, installed and unchanged.

    Args:
        checkout: The checkout whose history has the commit.
        commit: The full hash of the commit.

    Raises:
        BaseMissing: The history does not have the commit, its tree was changed, or it cannot be installed.
    """
    tree = checkout / CACHE / commit[:12]
    _require_commit(checkout, commit)
    if not (tree / ".git").exists():
        # --force, because git remembers a worktree whose folder was removed.
        _git(checkout, "worktree", "add", "--force", "--detach", str(tree), commit)
    _require_unchanged(tree, commit)
    _install(tree)
    return tree


def _require_commit(checkout: Path, commit: str) -> None:
    if _run("git", "-C", str(checkout), "cat-file", "-e", f"{commit}^{{commit}}").returncode != 0:
        raise BaseMissing(
            f"the history of {checkout} does not have commit {commit}, the version to upgrade from: "
            "it needs a full clone (`git fetch --unshallow`)"
        )


def _require_unchanged(tree: Path, commit: str) -> None:
    head = _git(tree, "rev-parse", "HEAD").strip()
    changed = _git(tree, "status", "--porcelain", "--untracked-files=no").strip()
    if head != commit or changed:
        problem = f"is at {head}" if head != commit else f"was changed: {changed}"
        raise BaseMissing(f"{tree} {problem}: remove it (`git worktree remove --force {tree}`), and it is made again")


def _install(tree: Path) -> None:
    """Run `make setup` of that version, which does nothing if it has run before."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_MAKE}
    done = _run("make", "-C", str(tree), "setup", environment=environment)
    if done.returncode != 0:
        raise BaseMissing(f"`make setup` of {tree} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _git(folder: Path, *arguments: str) -> str:
    done = _run("git", "-C", str(folder), *arguments)
    if done.returncode != 0:
        raise BaseMissing(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _run(*command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

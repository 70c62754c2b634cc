"""The compiled kernels: built once on each machine by its C compiler, then loaded by every process.

A build takes some seconds and fits all shapes and types. It depends only on the source, the compiler and the
instruction set, and is kept in a folder under a name computed from these.

An environment's record names the kernels by `fingerprint`: the same hash, but computed after `EQUAL_EDITS` are undone.
These edits change no result if the inputs are finite. So a stage that was started before such an edit can continue.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from tet_core.errors import NoCompilerError
from tet_core.files import only_one

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
SOURCES = ("lif.c", "lif_typed.h")
CACHE_VARIABLE = "TET_KERNEL_CACHE"
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c11", "-O3", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
# The compiler's flag for the instruction set that torch uses: machines with the same flag give the same bits.
LEVELS = {"AVX512": "-march=x86-64-v4", "AVX2": "-march=x86-64-v3"}
# Time limit of a build in seconds. A build takes seconds, or minutes on a machine that is busy with other work.
BUILD_S = 1_800


class EqualEdit(NamedTuple):
    """An edit of the sources that changes no bit of a result, if all inputs are finite.

    Attributes:
        source: The file, one of `SOURCES`.
        before: The text before the edit.
        after: The text after it, which the file has once.
        reason: Why the results are equal; a test compares the bits of both texts.
    """

    source: str
    before: str
    after: str
    reason: str


# In the order in which they were made. Docs: docs/adr/026-not-finite.md.
EQUAL_EDITS = (
    EqualEdit(
        "lif_typed.h",
        "    *v = p.soft ? u - threshold * a : u * (1 - a);\n",
        "    /* A spike at an infinite u leaves 0 too: inf * 0 would be not a number. */\n"
        "    const ACC kept = u == (ACC)INFINITY ? (ACC)0 : u;\n"
        "    *v = p.soft ? u - threshold * a : kept * (1 - a);\n",
        "if u is finite, kept is u, and the same product is computed",
    ),
    EqualEdit(
        "lif_typed.h",
        "reset_by = soft ? threshold : u;\n",
        "reset_by = soft ? threshold : finite;\n",
        "if u is finite, `finite` is u, and the same product is computed",
    ),
    EqualEdit(
        "lif_typed.h",
        "",
        "        /* At an infinite u the derivative s is 0, and so is its product with u. */\n"
        "        const ACC finite = u == (ACC)INFINITY || u == -(ACC)INFINITY ? (ACC)0 : u;\n",
        "the definition of `finite`",
    ),
)


@cache
def library() -> ctypes.CDLL:
    """Return the kernels as a loaded library; build them if this machine has no build of them yet.

    Raises:
        NoCompilerError: If the kernels cannot be built.
    """
    return build(FOLDER)


def build(folder: Path) -> ctypes.CDLL:
    """Return the kernels whose `SOURCES` are in a folder; build them if this machine has no build of them yet.

    Raises:
        NoCompilerError: If they cannot be built.
    """
    name = _name(_texts(folder))
    try:
        return ctypes.CDLL(str(_built(folder / SOURCES[0], cache_folder() / f"{name}.so")))
    except OSError as error:  # a full disk, a folder that is not ours, a mount that allows no execution
        raise NoCompilerError(f"{error}; set {CACHE_VARIABLE} to another folder") from error


@cache
def fingerprint() -> str:
    """Return a hash of everything that results depend on, as 16 hexadecimal digits.

    This is the machine, the compiler, its flags and the sources, with `EQUAL_EDITS` undone.

    Raises:
        NoCompilerError: As for `library`.
    """
    library()  # raises the error if the kernels cannot be built
    return _name(recorded_texts())


def recorded_texts() -> dict[str, str]:
    """Return the sources with `EQUAL_EDITS` undone, by file."""
    texts = _texts(FOLDER)
    for edit in reversed(EQUAL_EDITS):
        assert texts[edit.source].count(edit.after) == 1, "a later edit must be undone first, and be in the table"
        texts[edit.source] = texts[edit.source].replace(edit.after, edit.before)
    return texts


def _texts(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in SOURCES}


def _name(texts: Mapping[str, str]) -> str:
    parts = [platform.machine(), _run([*_compiler(), "--version"]), *_flags(), *(texts[name] for name in SOURCES)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder of builds, which belongs to this user: `TET_KERNEL_CACHE`, else one in the user's cache folder.

    If the user's cache folder cannot be created, as in some containers, builds are kept among the temporary files.

    Raises:
        NoCompilerError: If the folder belongs to another user, or cannot be written.
        OSError: If the folder that `TET_KERNEL_CACHE` names cannot be created.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        folder = Path(chosen)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tet" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the user's home is not known
        folder = Path(tempfile.gettempdir()) / f"tet-kernels-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or not os.access(folder, os.W_OK):
        raise NoCompilerError(
            f"{folder} is not writable by this user or belongs to another one; set {CACHE_VARIABLE} to another folder"
        )
    return folder


def _flags() -> list[str]:
    level = LEVELS.get(torch.backends.cpu.get_cpu_capability())
    return [*FLAGS, *([level] if level else [])]


def _compiler() -> list[str]:
    asked = os.environ.get("CC")
    candidates = [shlex.split(asked)] if asked else [[name] for name in COMPILERS]
    command_found = next((command for command in candidates if shutil.which(command[0])), None)
    if command_found is None:
        raise NoCompilerError(f"there is no C compiler: {', '.join(command[0] for command in candidates)}")
    return command_found


def _built(source: Path, file: Path) -> Path:
    command = [*_compiler(), *_flags()]
    with only_one(file.with_suffix(".lock")):
        if not file.exists():
            log.info("building %s: %s", file, shlex.join(command))
            with tempfile.TemporaryDirectory(dir=file.parent) as folder:
                temporary = Path(folder) / file.name
                _run([*command, "-o", str(temporary), str(source), "-lm"])
                temporary.replace(file)
    return file


def _run(command: list[str]) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCompilerError(f"{command[0]}: {error}") from error
    if result.returncode != 0:
        raise NoCompilerError(f"{command[0]} ended with status {result.returncode}: {result.stderr.strip()[-500:]}")
    return result.stdout

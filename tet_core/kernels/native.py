"""The compiled kernels: built once a machine by its C compiler, then loaded by every process.

A build is a matter of seconds and depends on nothing but the source, the compiler and the processor, so it is kept in
a folder under a name that is computed from these; shapes and types do not matter to it.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tet_core.files import only_one

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
SOURCES = ("lif.c", "lif_typed.h")
CACHE_VARIABLE = "TET_KERNEL_CACHE"
FLAGS = ("-std=c11", "-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
COMPILERS = ("cc", "gcc", "clang")
BUILD_S = 300


class NoCompiler(RuntimeError):
    """There is no compiler here that builds the kernels; its text says what was tried."""


def cache_folder() -> Path:
    """Where builds are kept: `TET_KERNEL_CACHE`, else below the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base) / "tet" / "kernels"


@cache
def library() -> ctypes.CDLL:
    """The kernels, built if this machine has no build of them yet.

    Raises:
        NoCompiler: They cannot be built.
    """
    compiler = next((found for name in COMPILERS if (found := shutil.which(os.environ.get("CC", name)))), None)
    if compiler is None:
        raise NoCompiler(f"none of {', '.join(COMPILERS)} is installed")
    loaded = ctypes.CDLL(str(_built(compiler)))
    loaded.chunks_of.restype = ctypes.c_int64
    return loaded


def fingerprint() -> str:
    """What a build depends on, as 16 hexadecimal digits.

    Raises:
        NoCompiler: As for `library`.
    """
    return Path(library()._name).stem


def _built(compiler: str) -> Path:
    version = _run([compiler, "--version"])
    target = _run([compiler, "-march=native", "-Q", "--help=target"])
    told = hashlib.sha256("\0".join([platform.machine(), version, target, *FLAGS]).encode())
    for name in SOURCES:
        told.update((FOLDER / name).read_bytes())
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{told.hexdigest()[:16]}.so"
    with only_one(folder / "lock"):
        if not file.exists():
            log.info("building the kernels with %s into %s", compiler, file)
            with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as made:
                pass
            try:
                _run([compiler, *FLAGS, "-o", made.name, str(FOLDER / "lif.c"), "-lm"])
                Path(made.name).replace(file)
            finally:
                Path(made.name).unlink(missing_ok=True)
    return file


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCompiler(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise NoCompiler(f"{command[0]} ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout

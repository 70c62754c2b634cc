"""The compiled kernels: built once a machine by its C compiler, then loaded by every process.

A build takes some seconds and fits all shapes and types. It depends only on the source, the compiler and the
instruction set, and is kept in a folder under a name computed from these.
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
from functools import cache
from pathlib import Path

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


@cache
def library() -> ctypes.CDLL:
    """Return the kernels as a loaded library; build them if this machine has no build of them yet.

    Raises:
        NoCompilerError: If the kernels cannot be built.
    """
    compiler = _compiler()
    flags = [*FLAGS, *([level] if (level := LEVELS.get(torch.backends.cpu.get_cpu_capability())) else [])]
    parts = [platform.machine(), _run([*compiler, "--version"]), *flags]
    parts += [(FOLDER / name).read_text() for name in SOURCES]
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    try:
        loaded = ctypes.CDLL(str(_built([*compiler, *flags], cache_folder() / f"{name}.so")))
    except OSError as error:  # a full disk, a folder that is not ours, a mount that allows no execution
        raise NoCompilerError(f"{error}; set {CACHE_VARIABLE} to another folder") from error
    return loaded


def fingerprint() -> str:
    """Return a hash of everything that the build depends on, as 16 hexadecimal digits.

    Raises:
        NoCompilerError: As for `library`.
    """
    return Path(library()._name).stem


def cache_folder() -> Path:
    """Return the folder of builds, which belongs to this user: `TET_KERNEL_CACHE`, else one in the user's cache folder.

    If the user's cache folder cannot be created, as in some containers, it is a folder among the temporary files.

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
    except (OSError, RuntimeError):  # the latter: the user's home is not known
        folder = Path(tempfile.gettempdir()) / f"tet-kernels-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or not os.access(folder, os.W_OK):
        raise NoCompilerError(
            f"{folder} is not writable by this user or belongs to another one; set {CACHE_VARIABLE} to another folder"
        )
    return folder


def _compiler() -> list[str]:
    asked = os.environ.get("CC")
    candidates = [shlex.split(asked)] if asked else [[name] for name in COMPILERS]
    command_found = next((command for command in candidates if shutil.which(command[0])), None)
    if command_found is None:
        raise NoCompilerError(f"there is no C compiler: {', '.join(command[0] for command in candidates)}")
    return command_found


def _built(command: list[str], file: Path) -> Path:
    with only_one(file.with_suffix(".lock")):
        if not file.exists():
            log.info("building %s: %s", file, shlex.join(command))
            with tempfile.TemporaryDirectory(dir=file.parent) as folder:
                temporary = Path(folder) / file.name
                _run([*command, "-o", str(temporary), str(FOLDER / SOURCES[0]), "-lm"])
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

"""The marks of tests that need a C compiler for compiled kernels: any compiler, or gcc."""

import shutil
import subprocess

import pytest

needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("cc", "gcc", "clang")),
    reason="no C compiler is installed: apt-get install gcc libc6-dev (without it, neurons run in plain torch)",
)


def _is_gcc(command: str) -> bool:
    """Return whether a compiler is gcc: its version text names the Free Software Foundation."""
    if shutil.which(command) is None:
        return False
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    return "Free Software Foundation" in version


# For tests that compare with bits that gcc computed. Other compilers may compute a product and a sum in one operation,
# which rounds once instead of twice.
needs_gcc = pytest.mark.skipif(
    not _is_gcc(next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), "gcc")),
    reason="the C compiler is not gcc, and the test compares with bits from gcc: apt-get install gcc libc6-dev",
)

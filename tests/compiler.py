"""The mark of tests that need a C compiler, for compiled kernels."""

import shutil

import pytest

needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("cc", "gcc", "clang")),
    reason="no C compiler is installed: apt-get install gcc libc6-dev (without it, neurons run in plain torch)",
)

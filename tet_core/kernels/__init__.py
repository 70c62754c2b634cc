"""The choice between compiled kernels, if this machine can build them, and the loop in plain torch."""

import logging
import os
from functools import cache
from importlib import import_module
from types import ModuleType

from torch import Tensor

from tet_core.errors import ConfigError, NoCompilerError
from tet_core.kernels import cpu
from tet_core.kernels.native import fingerprint

log = logging.getLogger(__name__)

VARIABLE = "TET_KERNELS"
LOOP, COMPILED, AUTO = "loop", "compiled", "auto"
DEVICES = ("cpu", "cuda")


@cache
def in_use(device: str = "cpu") -> str:
    """Return the kernels that this process uses on a kind of device: "loop", or "compiled" and the build's fingerprint.

    `TET_KERNELS` chooses them: `compiled`, `loop` or `auto`. `auto` is the default: compiled kernels or, if they cannot
    be built, the loop and one warning. On CUDA devices the fingerprint is Triton's version. The choice is made once in
    a process; tests that change it call `in_use.cache_clear()`.

    Args:
        device: "cpu", whose kernels the machine's C compiler builds, or "cuda", whose kernels Triton builds.

    Raises:
        ConfigError: If `TET_KERNELS` is none of auto, compiled and loop.
        NoCompilerError: If `TET_KERNELS` is `compiled`, and the kernels cannot be built.
    """
    asked = os.environ.get(VARIABLE, AUTO)
    if asked not in (AUTO, COMPILED, LOOP):
        raise ConfigError(VARIABLE, asked, f"it must be {AUTO}, {COMPILED} or {LOOP}")
    if asked == LOOP:
        return LOOP
    try:
        return f"{COMPILED} {fingerprint() if device == 'cpu' else _triton()}"
    except NoCompilerError as error:
        if asked == COMPILED:
            raise
        log.warning("neurons run in plain torch, which is slower: the kernels cannot be built here (%s)", error)
        return LOOP


def kernels_for(x: Tensor) -> ModuleType | None:
    """Return the kernels for a tensor's device and dtype: module `cpu` or `gpu`; None if the loop runs."""
    device = x.device.type
    if device not in DEVICES or in_use(device) == LOOP:
        return None
    module = cpu if device == "cpu" else _gpu()
    return module if x.dtype in module.DTYPES else None


@cache
def warn_of_loop(device: str, reason: str) -> None:
    """Warn once in a process that neurons run as a loop although the device has kernels, and why."""
    if in_use(device) != LOOP:
        log.warning("a layer of neurons runs in plain torch, which is slower: %s", reason)


@cache
def _gpu() -> ModuleType:
    """Import the kernels of GPUs only when they are needed: Triton is not installed everywhere."""
    return import_module("tet_core.kernels.gpu")


def _triton() -> str:
    """Return Triton's version after a check that Triton works: the check builds the code that loads kernels."""
    try:
        _gpu()
        triton = import_module("triton")
        triton.runtime.driver.active.get_current_device()
    except Exception as error:  # no Triton, no C compiler, no headers of Python, no driver: each raises another error
        raise NoCompilerError(f"Triton does not work here: {type(error).__name__}: {error}") from error
    return f"triton {triton.__version__}"

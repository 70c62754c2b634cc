"""Compiled kernels, where this machine can build them; the loops in plain torch elsewhere."""

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
    """Which kernels this process uses on a kind of device: "loop", or "compiled" with what the build depends on.

    `TET_KERNELS` says which: `auto`, the default, takes the loop where nothing can be built, with one warning.

    Args:
        device: "cpu", whose kernels are built by the machine's C compiler, or "cuda", whose are Triton's.

    Raises:
        ConfigError: `TET_KERNELS` is none of auto, compiled and loop.
        NoCompilerError: It is `compiled`, and they cannot be built.
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
    """The kernels that this process uses for a tensor's device and type: `cpu` or `gpu`; None: the loop."""
    device = x.device.type
    if device not in DEVICES or in_use(device) == LOOP:
        return None
    module = cpu if device == "cpu" else _gpu()
    return module if x.dtype in module.DTYPES else None


@cache
def tell_loop(device: str, reason: str) -> None:
    """Say once in a process that neurons run as a loop although there are kernels for the device, and why."""
    if in_use(device) != LOOP:
        log.warning("a layer of neurons runs in plain torch, which is slower: %s", reason)


@cache
def _gpu() -> ModuleType:
    """Loaded where it is asked for: Triton is not installed everywhere."""
    return import_module("tet_core.kernels.gpu")


def _triton() -> str:
    """Which Triton there is, once it has shown that it can work here: it builds what it loads kernels with."""
    try:
        _gpu()
        triton = import_module("triton")
        triton.runtime.driver.active.get_current_device()
    except Exception as error:  # no Triton, no C compiler, no headers of Python, no driver: each in its own words
        raise NoCompilerError(f"Triton does not work here: {type(error).__name__}: {error}") from error
    return f"triton {triton.__version__}"

"""Compiled kernels, where this machine can build them; the loops in plain torch elsewhere."""

import logging
import os
from functools import cache

from tet_core.kernels.native import NoCompilerError, fingerprint

log = logging.getLogger(__name__)

VARIABLE = "TET_KERNELS"
LOOP, COMPILED, AUTO = "loop", "compiled", "auto"


@cache
def chosen() -> str:
    """Which kernels this process uses: "loop", or "compiled" with what the build depends on.

    `TET_KERNELS` says which: `auto`, the default, takes the loop where nothing can be built, with one warning.

    Raises:
        ValueError: `TET_KERNELS` is none of auto, compiled and loop.
        NoCompilerError: It is `compiled`, and they cannot be built.
    """
    asked = os.environ.get(VARIABLE, AUTO)
    if asked not in (AUTO, COMPILED, LOOP):
        raise ValueError(f"{VARIABLE} is {asked!r}; it must be {AUTO}, {COMPILED} or {LOOP}")
    if asked == LOOP:
        return LOOP
    try:
        return f"{COMPILED} {fingerprint()}"
    except NoCompilerError as error:
        if asked == COMPILED:
            raise
        log.warning("neurons run in plain torch, which is slower: the kernels cannot be built here (%s)", error)
        return LOOP

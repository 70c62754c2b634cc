"""The state of a trial's process that a stage may change, and that the next stage in it finds as in a new process.

What can be put back is put back. What cannot, such as memory that is not freed and threads that do not end, is a reason
to use the process for no further stage: see `ProcessState.wear`.
"""

import gc
import os
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import torch

# A process is not used again if, after a stage, it holds so much more memory, in MB, than after its first stage. It may
# hold other data sets by then, because the last few stay loaded, so this is no small number.
MAX_GROWTH_MB = 1024

# For each global setting of torch: the function that reads it, and the one that sets it.
_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.get_rng_state, torch.set_rng_state),
    (np.random.get_state, np.random.set_state),
    (random.getstate, random.setstate),
    (os.getcwd, os.chdir),
)
# Settings of torch that are attributes: of what, and of which name.
_FLAGS: tuple[tuple[Any, str], ...] = (
    (torch.backends.cudnn, "benchmark"),
    (torch.backends.cudnn, "deterministic"),
    (torch.backends.cudnn, "allow_tf32"),
    (torch.backends.cuda.matmul, "allow_tf32"),
    (torch.utils.deterministic, "fill_uninitialized_memory"),
)


class ProcessState:
    """The state of this process when the object is made: after the imports, before the first stage."""

    def __init__(self) -> None:
        self._settings = [get() for get, _ in _SETTINGS]
        self._flags = [getattr(owner, name) for owner, name in _FLAGS]
        self._environment, self._path = dict(os.environ), [*sys.path]
        self._seed = torch.initial_seed()  # the generators of GPUs start from it too
        self._threads = _threads()
        self._first_mb: float | None = None
        # What the imports have made stays. Otherwise each collection would look at all of it, for 0.1 s.
        gc.freeze()

    def restore(self) -> None:
        """Put the state back, and free the memory that nothing uses any more."""
        for (_, put), value in zip(_SETTINGS, self._settings, strict=True):
            put(value)
        for (owner, name), value in zip(_FLAGS, self._flags, strict=True):
            setattr(owner, name, value)
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        sys.path[:] = self._path
        torch.clear_autocast_cache()
        gc.collect()
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
            torch.cuda.manual_seed_all(self._seed)

    def wear(self) -> str | None:
        """Return why the process must not be used again after the stage that has just ended; None if it may be.

        Call it after `restore`.
        """
        held_mb = psutil.Process().memory_info().rss / 1e6
        if self._first_mb is None:
            self._first_mb = held_mb
        if held_mb - self._first_mb > MAX_GROWTH_MB:
            return f"it holds {held_mb:.0f} MB; after its first stage it held {self._first_mb:.0f} MB"
        if left := _threads() - self._threads:
            return f"{len(left)} threads have not ended"
        return None


def _threads() -> set[int]:
    """Return the threads that would keep a process from its end."""
    return {thread.ident or 0 for thread in threading.enumerate() if not thread.daemon}

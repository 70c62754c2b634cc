"""The state of a trial's process that a stage may change, and that the next stage in it finds as in a new process.

What can be put back is put back. What cannot, such as memory that is not freed and threads that do not end, is a reason
to use the process for no further stage: see `ProcessState.wear`.
"""

import gc
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import torch

from tet_core.data.loader import DECODING_THREADS

# A process is not used again if, after a stage, it holds so much more memory, in MB, than after its first stage. It may
# hold other data sets by then, because the last few stay loaded, so this is no small number.
MAX_GROWTH_MB = 1024
# The same for the memory of a GPU that is in use between stages, in bytes. The kernels and their workspaces need some.
MAX_GPU_BYTES = 256 * 1024**2
# The longest time, in s, for which a process is used. Its resources are then free for other experiments for a moment,
# and memory that is in pieces is whole again. A new process takes some seconds: less than a hundredth of it.
MAX_AGE_S = 600.0

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
        self._began = time.monotonic()
        # The memory of the process after its first stage.
        self._first_mb: float | None = None
        # What the imports have made stays. Otherwise each collection would look at all of it, for 0.1 s.
        gc.freeze()

    def restore(self) -> None:
        """Put the state back, and free the memory that nothing uses any more."""
        for (_, put), value in zip(_SETTINGS, self._settings, strict=True):
            put(value)
        for (owner, name), value in zip(_FLAGS, self._flags, strict=True):
            setattr(owner, name, value)
        for name in os.environ.keys() - self._environment.keys():
            del os.environ[name]
        for name, value in self._environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        sys.path[:] = self._path
        torch.clear_autocast_cache()
        gc.collect()
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
            torch.cuda.manual_seed_all(self._seed)

    def wear(self) -> str | None:
        """Return why no other stage may run in the process, if its stage ends now; None if one may.

        While a stage runs, its own memory counts too: a decision may end the stage, and then nothing else looks.
        """
        held_mb, age_s = psutil.Process().memory_info().rss / 1e6, time.monotonic() - self._began
        if self._first_mb is not None and held_mb - self._first_mb > MAX_GROWTH_MB:
            return f"it holds {held_mb:.0f} MB; after its first stage it held {self._first_mb:.0f} MB"
        if age_s > MAX_AGE_S:
            return f"it has run for {age_s:.0f} s"
        if left := _threads() - self._threads:
            return f"{len(left)} threads have not ended"
        return None

    def wear_after_stage(self) -> str | None:
        """Put the state back after a stage, and return why no other one may run in the process; None if one may."""
        self.restore()
        if self._first_mb is None:
            self._first_mb = psutil.Process().memory_info().rss / 1e6
        if torch.cuda.is_initialized() and (held := torch.cuda.memory_allocated()) > MAX_GPU_BYTES:  # type: ignore[no-untyped-call]
            return f"it holds {held / 1e6:.0f} MB of its GPU"
        return self.wear()


def _threads() -> set[int]:
    """Return the threads that would keep a process from its end, without those that decode images for all stages."""
    threads = (thread for thread in threading.enumerate() if not thread.daemon)
    return {thread.ident or 0 for thread in threads if not thread.name.startswith(DECODING_THREADS)}

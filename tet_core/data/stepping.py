"""Steps of long work on a data set's files, such as decoding all of them: they show a waiting watchdog that it goes on.

The work calls `step` after each file. The caller of `load_dataset` decides what that does. The function is kept for the
context and not passed as an argument, because a data set is loaded once in a process, for the first caller.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_on_step: ContextVar[Callable[[], object] | None] = ContextVar("on_step", default=None)


@contextmanager
def calling(on_step: Callable[[], object] | None) -> Iterator[None]:
    """Provide the context in which every step calls `on_step`; None: what the context around it calls."""
    token = _on_step.set(on_step or _on_step.get())
    try:
        yield
    finally:
        _on_step.reset(token)


def step() -> None:
    """Make a step. If `on_step` raises an error, the work ends with it."""
    on_step = _on_step.get()
    if on_step is not None:
        on_step()

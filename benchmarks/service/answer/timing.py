"""Timers around functions in the processes of a stack, which needs no change for them.

A module `sitecustomize` on the stack's PYTHONPATH calls `install` when a Python process starts. A module with timed
names is then wrapped as soon as it is loaded, and only then, so no process loads more than it would without timers.

Each call that counts becomes a line of a file of its process, at once: Ray ends its workers without warning. The times
of a call do not contain those of the timed calls within it, so the sum over all lines counts nothing twice.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.service.answer.timed_names import TIMED, AnswerPart, PartBy, TimedName, resolved


@dataclass(frozen=True)
class TimedCall:
    """A call of a timed function, without the timed calls within it.

    Attributes:
        name: `TimedName.key`.
        part: The part that its time belongs to; None: no part of the answer.
        ended_at: Its end, in s since 1970.
        wall_s: How long it took.
        cpu_s: The processor time of its thread.
        process_cpu_s: The processor time of its process so far, with the timed calls.
    """

    name: str
    part: AnswerPart | None
    ended_at: float
    wall_s: float
    cpu_s: float
    process_cpu_s: float


@dataclass(frozen=True)
class TimedProcess:
    """The timed calls of a process, and its command line."""

    command: Sequence[str]
    calls: Sequence[TimedCall]


@dataclass
class _Open:
    """A call that has not returned: its part as far as it is known, and the times of the timed calls within it."""

    part: AnswerPart | None
    inner_wall_s: float = 0.0
    inner_cpu_s: float = 0.0


class Timers:
    """Wraps functions, and writes their calls to a file of this process.

    Args:
        folder: The folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._local = threading.local()
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None  # the process that has opened it, and its descriptor

    def wrap(self, timed: TimedName, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and times it."""

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            stack = self._stack()
            part, counts = self._part_at_start(timed, stack, args)
            counts = counts and sys._getframe(1).f_code.co_name != timed.not_from
            call = _Open(part)
            stack.append(call)
            result: Any = None
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                result = function(*args, **kwargs)
                return result
            finally:
                wall_s, cpu_s = time.perf_counter() - wall, time.thread_time() - cpu
                stack.pop()
                if timed.by is PartBy.RESULT:
                    call.part = timed.part_of(result)
                    counts = call.part is not None
                if counts:
                    self._write(timed, call, wall_s, cpu_s)
                if stack:
                    stack[-1].inner_wall_s += wall_s if counts else call.inner_wall_s
                    stack[-1].inner_cpu_s += cpu_s if counts else call.inner_cpu_s

        return wrapped

    @staticmethod
    def _part_at_start(timed: TimedName, stack: list[_Open], args: tuple[Any, ...]) -> tuple[AnswerPart | None, bool]:
        """Return the part of a call as far as it is known before the call, and whether the call counts."""
        around = next((call.part for call in reversed(stack) if call.part is not None), None)
        match timed.by:
            case PartBy.NAME:
                return (around or timed.part if timed.is_lent else timed.part), True
            case PartBy.OWNER:
                part = timed.part_of(args[0])
            case PartBy.ARGUMENT:
                part = timed.part_of(args[1])
            case PartBy.PENDING:
                part = timed.part_of([*args[0].new, *args[0].dirty])
            case PartBy.RESULT:
                part = None
        return part, part is not None

    def _stack(self) -> list[_Open]:
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        stack: list[_Open] = self._local.stack
        return stack

    def _write(self, timed: TimedName, call: _Open, wall_s: float, cpu_s: float) -> None:
        of_process = time.process_time()
        own = wall_s - call.inner_wall_s, cpu_s - call.inner_cpu_s
        done = TimedCall(timed.key, call.part, time.time(), *own, of_process)
        line = json.dumps(asdict(done)).encode() + b"\n"
        with self._lock:
            os.write(self._descriptor(), line)

    def _descriptor(self) -> int:
        """Return the open file of this process, which may be a fork of the one that has installed the timers."""
        if self._file is None or self._file[0] != os.getpid():
            path = self._folder / f"{os.getpid()}-{time.time_ns()}.jsonl"
            self._file = os.getpid(), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(self._file[1], json.dumps(sys.orig_argv).encode() + b"\n")
        return self._file[1]


class _Loading(MetaPathFinder):
    """Finds the modules with timed names as Python does, and wraps the names when such a module has been loaded."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        names = [timed for timed in TIMED if timed.module == fullname]
        spec = PathFinder.find_spec(fullname, path, target) if names else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_wrap(module: ModuleType) -> None:
            load(module)
            for timed in names:
                owner, name, function = resolved(timed, module)
                setattr(owner, name, self._timers.wrap(timed, function))

        spec.loader.exec_module = load_and_wrap  # type: ignore[method-assign]
        return spec


def install(folder: str) -> None:
    """Time the functions of this process, and write their calls to a file in a folder."""
    sys.meta_path.insert(0, _Loading(Timers(Path(folder))))


def write_hook(hook: Path, folder: Path) -> None:
    """Write the module that installs timers in each Python process with `hook` and the checkout on its PYTHONPATH.

    Args:
        hook: An empty folder.
        folder: The folder of the files with the calls.
    """
    text = f"from benchmarks.service.answer.timing import install\n\ninstall({str(folder)!r})\n"
    (hook / "sitecustomize.py").write_text(text, encoding="utf-8")


def read_calls(folder: Path) -> list[TimedProcess]:
    """Return what the processes have written. A line that a killed process has not finished is left out."""
    return [_read(file) for file in sorted(folder.glob("*.jsonl"))]


def _read(file: Path) -> TimedProcess:
    command, *lines = file.read_bytes().rpartition(b"\n")[0].splitlines()
    calls = [json.loads(line) for line in lines]
    parts = [None if call["part"] is None else AnswerPart(call["part"]) for call in calls]
    return TimedProcess(
        json.loads(command), [TimedCall(**{**call, "part": part}) for call, part in zip(calls, parts, strict=True)]
    )

"""The API's side of the processes that check documents: who gets a turn, and what the end of a job means."""

import contextlib
import logging
import os
import pickle
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, assert_never

import anyio.to_thread

from service.api.checking.messages import READY, JobEnd, JobVerdict, pickled_job, read_message, write_message
from service.api.turns import PATIENCE_S, Turns
from service.errors import Overloaded, TooCostly

log = logging.getLogger(__name__)

Value = TypeVar("Value")

# Seconds that a job may take, of the 10 in which an answer must come. A spec of 1 MB in YAML takes 2 s on an idle core.
JOB_S = 6.0
# Memory that a job may use beyond that of the process. A spec of 1 MB takes 100 MB; the largest plan, less than 200 MB.
JOB_BYTES = 200 * 1_048_576
# Further seconds until a process that has sent no end of its job is killed.
LOST_S = 2.0
# Seconds that a process has to start: it imports the modules of its jobs, on a busy machine perhaps.
START_S = 10.0
# Seconds that a process has to end after its standard input has ended.
STOP_S = 2.0
# Largest number of requests that wait for a turn. With 1 MB each, they hold 16 MB.
MAX_WAITING = 16
# Largest number of requests with small bodies that threads of the API check and store at the same time.
SMALL_AT_ONCE = 4
SMALL_WAITING = 64


def default_number() -> int:
    """Return how many processes suit this machine: half of the CPUs, at most 4, since training uses the CPUs too."""
    return min(max(len(os.sched_getaffinity(0)) // 2, 1), 4)


class Checkers:
    """Processes that check large documents, started when they are first needed, and the turns of requests.

    Small documents are checked in the API's own threads, with turns too: planning a small spec can take long.
    """

    def __init__(self, number: int, job_s: float = JOB_S, job_bytes: int = JOB_BYTES) -> None:
        """Allow `number` processes, whose jobs may take `job_s` seconds and `job_bytes` bytes."""
        self._job_s, self._job_bytes = job_s, job_bytes
        self._large = Turns(number, MAX_WAITING, "large documents")
        self._small = Turns(SMALL_AT_ONCE, SMALL_WAITING, "documents")
        # A large document has a turn, then a process. A small one that is costly to plan needs no such turn.
        self._free = threading.BoundedSemaphore(number)
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._all: set[subprocess.Popen[bytes]] = set()
        # The ids of those that have said that they are ready.
        self._ready: set[int] = set()
        self._closed = False

    def turn(self, large: bool) -> AbstractAsyncContextManager[None]:
        """Hold a turn for a large or a small document until it is checked and stored.

        Entering the turn raises `Overloaded` if too many requests wait.
        """
        return (self._large if large else self._small).turn()

    async def run(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Call a pure function of an importable module in a process, as `call` does, without blocking the event loop.

        Raises:
            TetError: The error that the function raised on purpose.
            TooCostly: It took too long, or too much memory.
            Overloaded: All processes stay busy, the process was lost, or the service ends.
        """
        return await anyio.to_thread.run_sync(lambda: self.call(function, *arguments))

    def call(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Call a pure function of an importable module in a process, from a thread; see `run`."""
        if not self._free.acquire(timeout=PATIENCE_S):
            raise Overloaded("the processes that check documents are busy; send the request again", 2)
        try:
            value: Value = self._run(pickled_job(function, *arguments))
        finally:
            self._free.release()
        return value

    def close(self) -> None:
        """End all processes, and the jobs that they do."""
        with self._lock:
            self._closed = True
            ending, self._idle = list(self._all), []
        for process in ending:
            _end(process)

    def _run(self, job: bytes) -> Any:
        process = self._take()
        try:
            message = _exchange(process, job, self._job_s + LOST_S) if self._is_ready(process) else None
        except (OSError, ValueError):  # it died while it was idle, or `close` has closed its pipes
            message = None
        if message is None:
            self._drop(process)
            raise Overloaded("the process that checks documents was lost; send the request again")
        with self._lock:
            self._idle.append(process)
        return _value(pickle.loads(message))

    def _take(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise Overloaded("the service ends")
            while self._idle:
                process = self._idle.pop()
                if process.poll() is None:
                    return process
                self._forget(process)
            # It has no session of its own, so Ctrl-C in a terminal reaches it; it ignores this signal.
            limits = (str(self._job_s), str(self._job_bytes))
            command = [sys.executable, "-m", "service.api.checking", *limits]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._all.add(process)
            return process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        self._all.discard(process)
        self._ready.discard(process.pid)

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Return whether a process has started; a new one says so in its first message."""
        with self._lock:
            if process.pid in self._ready:
                return True
        if _message(process, START_S) != READY:
            return False
        with self._lock:
            self._ready.add(process.pid)
        return True

    def _drop(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._forget(process)
        if not self._closed:
            log.error("a process that checks documents was lost (exit status %s)", process.poll())
            _end(process)


def _exchange(process: subprocess.Popen[bytes], job: bytes, patience_s: float) -> bytes | None:
    """Send a job and return the pickled end; None if the process ends or hangs."""
    assert process.stdin is not None
    write_message(process.stdin, job)
    return _message(process, patience_s)


def _message(process: subprocess.Popen[bytes], patience_s: float) -> bytes | None:
    """Return the next message of a process; None if the process ends or hangs."""
    assert process.stdout is not None
    poller = select.poll()
    poller.register(process.stdout, select.POLLIN)
    return read_message(process.stdout) if poller.poll(1000 * patience_s) else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the standard input of a process, after which it ends by itself, with its child."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _value(end: JobEnd) -> Any:
    match end.verdict:
        case JobVerdict.DONE:
            return end.value
        case JobVerdict.REFUSED:
            assert end.error is not None
            raise end.error
        case JobVerdict.TOO_MUCH_MEMORY:
            raise TooCostly("checking this document takes more memory than the service allows; make it shorter")
        case JobVerdict.TOO_SLOW:
            raise TooCostly("checking this document takes longer than the service allows; make it shorter")
        case JobVerdict.BROKEN:
            raise RuntimeError(f"a document could not be checked: {end.words}")
        case _:
            assert_never(end.verdict)

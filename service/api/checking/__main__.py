"""The process that checks large documents for the API: `python -m service.api.checking JOB_S JOB_BYTES`.

Reading and checking a document of 1 MB takes seconds and 100 MB, and Python runs one thread at a time. So this process
does it. It loads the modules of `JOBS` once, before the first job. For each job it forks a child. The child does the
job, within limits of memory and time, and ends. So the memory of the job is free again, and a hostile document ends
only the child.

A job comes on standard input as a pickled function with its arguments, and its `JobEnd` goes to standard output. The
length of each message comes before it. This process ends when its standard input ends, that is, when the API ends. It
uses neither the database nor the network. Its first message says that it is ready.
"""

import gc
import os
import pickle
import resource
import select
import signal
import sys
import time
import traceback

from service.api.checking.job_functions import JOBS
from service.api.checking.messages import READY, JobEnd, JobVerdict, read_message, write_message
from service.errors import TetError

# Priority: training, and the API's own short answers, go first.
NICENESS = 5


def main(job_s: float, job_bytes: int) -> int:
    """Do jobs until standard input ends, each within these limits."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the API ends us
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    assert all(map(callable, JOBS))  # a child that had to import them would pay seconds for it, in every job
    jobs, ends = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    gc.collect()
    gc.freeze()
    write_message(ends, READY)
    while (job := read_message(jobs)) is not None:
        end = _in_child(job, jobs.fileno(), job_s, job_bytes)
        if end is None:
            return 0
        write_message(ends, end)
    return 0


def _in_child(job: bytes, jobs: int, job_s: float, job_bytes: int) -> bytes | None:
    """Do a job in a child; return its pickled end, or None if the API has ended meanwhile."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(job, writing, job_bytes)
    os.close(writing)
    try:
        return _end_of(reading, jobs, job_s)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # it has ended, or it must end now
        os.waitpid(child, 0)


def _work(job: bytes, writing: int, job_bytes: int) -> None:
    """Do a job, write its end, and end this process."""
    try:
        gc.disable()  # it ends soon, and its memory is limited
        _limit_memory(job_bytes)
        end = run_job(job)
        with os.fdopen(writing, "wb") as file:
            file.write(end)
    finally:
        os._exit(0)


def run_job(job: bytes) -> bytes:
    """Do a pickled job, and return its pickled end."""
    try:
        try:
            function, arguments = pickle.loads(job)
            return pickle.dumps(JobEnd(JobVerdict.DONE, value=function(*arguments)))
        except TetError as error:
            return pickle.dumps(JobEnd(JobVerdict.REFUSED, error=error))
    except MemoryError:
        return pickle.dumps(JobEnd(JobVerdict.TOO_MUCH_MEMORY))
    except Exception:
        return pickle.dumps(JobEnd(JobVerdict.BROKEN, words=traceback.format_exc()))


def _end_of(reading: int, jobs: int, job_s: float) -> bytes | None:
    """Read the end of a child's job, until it is complete or late; None if the API has ended."""
    poller = select.poll()
    poller.register(reading, select.POLLIN)
    poller.register(jobs, 0)  # only its end is reported
    deadline, end = time.monotonic() + job_s, bytearray()
    while (left_s := deadline - time.monotonic()) > 0:
        ready = dict(poller.poll(1000 * left_s))
        if jobs in ready:
            return None
        if reading in ready:
            block = os.read(reading, 1_048_576)
            if not block:  # without an end, the child was killed: the kernel had no memory
                return bytes(end) or pickle.dumps(JobEnd(JobVerdict.TOO_MUCH_MEMORY))
            end += block
    return pickle.dumps(JobEnd(JobVerdict.TOO_SLOW))


def _limit_memory(more_bytes: int) -> None:
    """Let this process use only `more_bytes` beyond what it uses now; no limit if the system does not say how much."""
    if not os.path.exists("/proc/self/statm"):
        return
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more_bytes, used + more_bytes))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))

"""Measurements during the requests: the answers of /healthz, taken by a separate process, and the API's memory.

    python -m tests.system.hostile.watching HOST PORT

This process asks /healthz until its standard input is closed, for at most `LIMIT_S`. Then it prints the seconds of each
answer.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from tests.root import ROOT
from tests.system.hostile.sending import GIVE_UP_S, Target

INTERVAL_S = 0.1
LIMIT_S = 600.0
MB = 1_000_000


@dataclass
class Watched:
    """What was measured; complete after the context."""

    health_s: list[float] = field(default_factory=list)
    health_failures: int = 0
    start_bytes: int = 0
    peak_bytes: int = 0

    @property
    def health_p99_s(self) -> float:
        """The 99th percentile of the answers of /healthz; an answer that did not come counts as infinite."""
        times = sorted([*self.health_s, *[float("inf")] * self.health_failures])
        return times[min(len(times) - 1, int(0.99 * len(times)))] if times else float("inf")

    @property
    def growth_mb(self) -> float:
        """The growth of the memory from the start to its peak, in MB."""
        return (self.peak_bytes - self.start_bytes) / MB


@contextmanager
def watched(target: Target, api_pid: int) -> Iterator[Watched]:
    """Measure as long as the context lasts."""
    found, ended = Watched(start_bytes=memory_of(api_pid)), threading.Event()
    sampler = threading.Thread(target=_sample, args=(found, api_pid, ended), daemon=True)
    command = [sys.executable, "-m", "tests.system.hostile.watching", target.host, str(target.port)]
    probe = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sampler.start()
    try:
        yield found
        text, _ = probe.communicate(timeout=2 * GIVE_UP_S)  # closes its standard input
        answers = json.loads(text)
        found.health_s = [each for each in answers if each is not None]
        found.health_failures = answers.count(None)
    finally:
        ended.set()
        sampler.join(10)
        probe.kill()
        probe.wait()


def memory_of(pid: int) -> int:
    """Return the resident bytes of a process and of its children."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
    return total


def _sample(found: Watched, pid: int, ended: threading.Event) -> None:
    while not ended.wait(0.25):
        found.peak_bytes = max(found.peak_bytes, memory_of(pid))


def health_answer(target: Target) -> float | None:
    """Return the seconds until /healthz answered 200; None if it did not."""
    start = time.monotonic()
    client = http.client.HTTPConnection(target.host, target.port, timeout=GIVE_UP_S)
    try:
        client.request("GET", "/healthz")
        is_well = client.getresponse().status == 200
        return time.monotonic() - start if is_well else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        client.close()


def main(host: str, port: int) -> int:
    """Ask until the standard input is closed; print the answers' times."""
    closed = threading.Event()

    def await_close() -> None:
        sys.stdin.read()
        closed.set()

    threading.Thread(target=await_close, daemon=True).start()
    answers, deadline = [], time.monotonic() + LIMIT_S
    while not closed.wait(INTERVAL_S) and time.monotonic() < deadline:
        answers.append(health_answer(Target(host, port)))
    print(json.dumps(answers), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

"""Requests sent over sockets of their own, with the time until each answer, and clients that misbehave."""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from tests.system.hostile.requests import HostileRequest

# Seconds within which every request is answered.
ANSWER_S = 10.0
# Seconds after which a request is given up. An answer after ANSWER_S and before this has its time in the report.
GIVE_UP_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """The answer to a request.

    Attributes:
        request: The request.
        status: The HTTP status; None if there was no answer.
        seconds: The time until the status, or until the client gave up.
        problem: Why there was no answer.
    """

    request: HostileRequest
    status: int | None
    seconds: float
    problem: str = ""
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Target:
    """The API's address."""

    host: str
    port: int

    def connection(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection((self.host, self.port), timeout=GIVE_UP_S)


def send(target: Target, request: HostileRequest) -> Outcome:
    """Send a request and wait for the answer."""
    start = time.monotonic()
    client = http.client.HTTPConnection(target.host, target.port, timeout=GIVE_UP_S)
    try:
        client.request(request.method, request.path, request.body or None, request.headers)
        answer = client.getresponse()
        seconds = time.monotonic() - start
        return Outcome(request, answer.status, seconds, body=answer.read(65_536))
    except (OSError, http.client.HTTPException) as error:
        return Outcome(request, None, time.monotonic() - start, f"{type(error).__name__}: {error}")
    finally:
        client.close()


def together(target: Target, requests: Iterable[HostileRequest]) -> list[Outcome]:
    """Send requests at the same time; return their outcomes in the same order."""
    return in_threads([partial(send, target, request) for request in requests])


def at_rate(target: Target, requests: Iterable[HostileRequest], per_second: float) -> list[Outcome]:
    """Send `per_second` requests a second, whether or not the earlier ones have been answered."""
    return in_threads([partial(send, target, request) for request in requests], every_s=1 / per_second)


def in_threads(acts: Sequence[Callable[[], Outcome]], every_s: float = 0.0) -> list[Outcome]:
    """Run acts in threads that do not outlive this process; return their results in order."""
    outcomes: dict[int, Outcome] = {}

    def run(number: int) -> None:
        outcomes[number] = acts[number]()

    threads = []
    start = time.monotonic()
    for number in range(len(acts)):
        time.sleep(max(0.0, start + number * every_s - time.monotonic()))
        threads.append(threading.Thread(target=run, args=(number,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(GIVE_UP_S * 2)
    return [outcomes[number] for number in sorted(outcomes)]


def leave_early(target: Target, request: HostileRequest, after_s: float) -> None:
    """Send a request, and close the connection before the answer."""
    head = f"{request.method} {request.path} HTTP/1.1\r\nHost: {target.host}\r\nContent-Length: {len(request.body)}\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with suppress(OSError), target.connection() as client:
        client.sendall(f"{head}{lines}\r\n".encode() + request.body)
        time.sleep(after_s)


@contextmanager
def held_open(target: Target, count: int, start: bytes) -> Iterator[int]:
    """Hold connections open that have sent the start of a request; yield how many could be opened."""
    with ExitStack() as opened:
        num = 0
        for _ in range(count):
            with suppress(OSError):
                client = opened.enter_context(target.connection())
                client.sendall(start)
                num += 1
        yield num


@contextmanager
def slow_readers(target: Target, count: int, path: str) -> Iterator[int]:
    """Hold connections open that ask for a path and read no byte of the answer; yield how many could be opened."""
    with ExitStack() as opened:
        num = 0
        for _ in range(count):
            with suppress(OSError):
                client = opened.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
                client.settimeout(GIVE_UP_S)
                client.connect((target.host, target.port))
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: {target.host}\r\n\r\n".encode())
                num += 1
        yield num

"""Ports that nobody listens on."""

import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

KERNEL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Above what well-known programs listen on, Ray's own defaults among them.
LOWEST = 20_000
SAMPLED = 200


def free_ports(count: int) -> list[int]:
    """As many as asked for, all different, free on every address of this machine."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def lasting_ports(count: int) -> list[int]:
    """As many as asked for, all different, free now and never given to a program that asks for any free port.

    For ports that are used again after nobody has listened on them for a while: the kernel gives `free_ports` to
    the process that opens a connection in the meantime.
    """
    found: list[int] = []
    candidates = range(LOWEST, _first_given())
    with ExitStack() as held:
        for port in random.sample(candidates, k=min(SAMPLED, len(candidates))):
            each = held.enter_context(socket.socket())
            with suppress(OSError):
                each.bind(("", port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free ports among {SAMPLED} of {candidates}")


def _first_given() -> int:
    """The first port that the kernel gives to programs that ask for any; Linux's own default elsewhere."""
    try:
        return int(KERNEL_RANGE.read_text().split()[0])
    except FileNotFoundError:
        return 32_768

"""Free ports for servers that tests start."""

import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

KERNEL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# The lowest port that is tried. Well-known programs, and Ray by default, listen on lower ports.
LOWEST = 20_000
# How many random ports are tried.
SAMPLED = 200


def free_ports(count: int) -> list[int]:
    """Return `count` different ports that are free on all addresses of this machine."""
    with ExitStack() as sockets_open:
        sockets = [sockets_open.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]


def lasting_ports(count: int) -> list[int]:
    """Return `count` different ports that are free now and outside the kernel's range for outgoing connections.

    Use them for servers that are stopped and started again on the same port. The kernel may give a port of
    `free_ports` to another process while no server listens on it.

    Raises:
        OSError: Too few of the tried ports are free.
    """
    ports: list[int] = []
    candidates = range(LOWEST, _first_of_kernel())
    with ExitStack() as sockets_open:
        for port in random.sample(candidates, k=min(SAMPLED, len(candidates))):
            listener = sockets_open.enter_context(socket.socket())
            with suppress(OSError):
                listener.bind(("", port))
                ports.append(port)
            if len(ports) == count:
                return ports
    tried = f"{SAMPLED} random ports from {candidates.start} to {candidates.stop - 1}"
    raise OSError(f"only {len(ports)} of {tried} are free; {count} are needed")


def _first_of_kernel() -> int:
    """Return the first port of the kernel's range; Linux's default if the kernel does not report one."""
    try:
        return int(KERNEL_RANGE.read_text().split()[0])
    except FileNotFoundError:
        return 32_768

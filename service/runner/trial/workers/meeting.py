"""Where the workers of a trial meet, and what they talk over: gloo between CPUs, NCCL between GPUs.

The first worker keeps a small store at a free port of its node, at which all of them leave their addresses. The group
is torch's default one for as long as the stage lasts, since torch's collectives know no other that is not part of it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import psutil
import ray
from torch import distributed as dist
from torch.distributed import ProcessGroup, TCPStore  # type: ignore[attr-defined]

from tet_core.distributed import WorkersApartError

# By which a process says which of the machine's networks it takes.
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


@dataclass(frozen=True)
class Meeting:
    """Plain values, to be told to workers on other nodes.

    Attributes:
        host: The first worker's node.
        port: Of the store there.
        num: How many workers there are.
        backend: "gloo" or "nccl".
        timeout_s: How long, s, one waits for another that says nothing, and is not known to have ended.
    """

    host: str
    port: int
    num: int
    backend: str
    timeout_s: float


def called(num: int, backend: str, timeout_s: float) -> tuple[Meeting, TCPStore]:
    """Call a meeting on this node; the store lives for as long as it is held."""
    host = ray.util.get_node_ip_address()
    store = _store(host, 0, num, timeout_s, is_master=True)
    return Meeting(host, store.port, num, backend, timeout_s), store


@contextmanager
def joined(meeting: Meeting, rank: int, store: TCPStore | None = None) -> Iterator[ProcessGroup]:
    """The group of all workers, once they have come, within this context.

    Args:
        meeting: Which.
        rank: Of this worker, from 0.
        store: The meeting's, for the first worker, who keeps it.

    Raises:
        WorkersApartError: The others cannot be reached.
    """
    timeout = timedelta(seconds=meeting.timeout_s)
    _take_network(ray.util.get_node_ip_address())
    try:
        if store is None:
            store = _store(meeting.host, meeting.port, meeting.num, meeting.timeout_s, is_master=False)
        dist.init_process_group(meeting.backend, store=store, rank=rank, world_size=meeting.num, timeout=timeout)
    except RuntimeError as error:
        raise WorkersApartError(f"worker {rank} of {meeting.num} has not met the others: {error}") from error
    group = dist.group.WORLD
    assert group is not None
    try:
        yield group
    finally:
        dist.destroy_process_group()


def _store(host: str, port: int, num: int, timeout_s: float, *, is_master: bool) -> TCPStore:
    timeout = timedelta(seconds=timeout_s)
    return TCPStore(host, port, num, is_master=is_master, wait_for_workers=False, timeout=timeout)


def _take_network(address: str) -> None:
    """Take the network on which Ray's nodes find each other, unless the operator has named another."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            for variable in INTERFACES:
                os.environ.setdefault(variable, name)

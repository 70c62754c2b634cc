"""The meeting of a trial's workers, which communicate by gloo between CPUs and by NCCL between GPUs.

The first worker runs a small store at a free port of its node; each worker writes its address there. While the stage
runs, the group of these workers is torch's default group, because in torch every other group is a part of that one.
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

from tet_core.errors import WorkersApartError

# The environment variables that choose the network interface of a process.
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


@dataclass(frozen=True)
class Meeting:
    """The place where workers meet, as plain values that can be sent to other nodes.

    Attributes:
        host: The address of the first worker's node.
        port: The port of the store on that node.
        num: The number of workers.
        backend: "gloo" or "nccl".
        timeout_s: The time, in s, for which a worker waits for another one that does not answer and has not ended.
    """

    host: str
    port: int
    num: int
    backend: str
    timeout_s: float


def open_meeting(num: int, backend: str, timeout_s: float) -> tuple[Meeting, TCPStore]:
    """Open a meeting on this node; return it and its store. The store runs as long as the returned object lives."""
    host = ray.util.get_node_ip_address()
    store = _store(host, 0, num, timeout_s, is_master=True)
    return Meeting(host, store.port, num, backend, timeout_s), store


@contextmanager
def join_meeting(meeting: Meeting, rank: int, store: TCPStore | None = None) -> Iterator[ProcessGroup]:
    """Wait for all workers, and provide their group within this context.

    Args:
        meeting: The meeting.
        rank: This worker's rank, from 0.
        store: The meeting's store, if this is the first worker; None: connect to the first worker's store.

    Raises:
        WorkersApartError: The other workers cannot be reached.
    """
    timeout = timedelta(seconds=meeting.timeout_s)
    _take_network(ray.util.get_node_ip_address())
    try:
        if store is None:
            store = _store(meeting.host, meeting.port, meeting.num, meeting.timeout_s, is_master=False)
        dist.init_process_group(meeting.backend, store=store, rank=rank, world_size=meeting.num, timeout=timeout)
    except RuntimeError as error:
        raise WorkersApartError(f"worker {rank} of {meeting.num} could not reach the other workers: {error}") from error
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
    """Use the network over which Ray's nodes reach each other, unless the operator has chosen another one."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            for variable in INTERFACES:
                os.environ.setdefault(variable, name)

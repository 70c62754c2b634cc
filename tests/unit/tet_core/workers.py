"""Workers for tests: processes that communicate by gloo and serve all tests of a file."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

MOST = 4  # the largest number of workers that a test may use
TIMEOUT = timedelta(seconds=400)


class Pool:
    """Processes that run one function together, as the workers of a group."""

    def __init__(self, processes: ProcessPoolExecutor, folder: Path) -> None:
        self._processes, self._folder, self._calls = processes, folder, 0

    def run(self, num: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Run `function(group, *arguments)` on `num` workers (with one, the group is None); return their results."""
        self._calls += 1
        store = str(self._folder / f"store-{self._calls}")
        calls = [self._processes.submit(_as_worker, rank, num, store, function, *arguments) for rank in range(num)]
        return [call.result(TIMEOUT.total_seconds()) for call in calls]


@contextmanager
def pool(folder: Path) -> Iterator[Pool]:
    """Yield a pool that starts up to `MOST` processes on demand; end the processes afterwards."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(MOST, mp_context=context, initializer=_prepare) as processes:
        yield Pool(processes, folder)


def _prepare() -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)


def _as_worker(rank: int, num: int, store: str, function: Callable[..., Any], *arguments: Any) -> Any:
    if num == 1:
        return function(None, *arguments)
    dist.init_process_group("gloo", f"file://{store}", rank=rank, world_size=num, timeout=TIMEOUT)
    try:
        return function(dist.group.WORLD, *arguments)
    finally:
        dist.destroy_process_group()

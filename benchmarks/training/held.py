"""How much memory a forward pass leaves behind for the backward pass, whoever holds it.

torch's allocator tells of every block that it gives and takes back; what is given and not taken back by the end of the
forward pass is what is held: in autograd's graph, in contexts of functions, in the states of neurons. Parameters,
optimiser and input were there before. The network is a fresh one, so that no state of an earlier pass is replaced.

The check is the growth of a process of its own, in which the system gives every block and gets it back at once:

    MALLOC_MMAP_THRESHOLD_=65536 python -m benchmarks.training.held vggsnn "ours, fast" float32 4 8
"""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.training.contenders import CONTENDERS, Trained, batch

MEMORY_EVENT = "[memory]"


def allocated_bytes(forward: Callable[[], Any]) -> int:
    """What a forward pass leaves, by the allocator.

    Args:
        forward: The first one of a network; it returns the loss, which holds the graph.
    """
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        loss = forward()
    del loss
    assert profiler.profiler is not None
    results: Any = profiler.profiler.kineto_results
    return sum(event.nbytes() for event in results.events() if event.name() == MEMORY_EVENT)


def process_growth_bytes(network: str, contender: str, precision: str, T: int, size: int) -> int:
    """By how much a process of its own grows over the same forward pass."""
    command = [sys.executable, "-m", __name__, network, contender, precision, str(T), str(size)]
    environment = dict(os.environ) | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return int(done.stdout)


def main(network: str, contender: str, precision: str, T: str, size: str) -> None:
    """Print by how much this process grows."""
    torch.set_num_threads(1)
    who = next(each for each in CONTENDERS if each.name == contender)
    # Libraries take memory of their own the first time.
    Trained(who, network, precision).step(*batch(network, 1, 2))
    trained, (frames, labels) = Trained(who, network, precision), batch(network, int(T), int(size))
    gc.collect()
    before = psutil.Process().memory_info().rss
    loss = trained.loss(frames, labels)
    print(psutil.Process().memory_info().rss - before)
    del loss


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The memory that a forward pass holds for the backward pass.

torch's allocator reports every block that it allocates and frees. Blocks that are not freed at the end of the forward
pass are held: by autograd's graph, by contexts of functions, by the states of neurons. Parameters, optimiser and input
were allocated before the pass. The network is new, so that no state of an earlier pass is replaced.

As a check, the growth of a separate process is measured. In this process every block of 64 KiB or more is allocated
from the system, and returned to the system as soon as it is freed:

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
    """Return how many bytes a forward pass holds, by the allocator.

    Args:
        forward: The first forward pass of a network; it returns the loss, which holds the graph.
    """
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        loss = forward()
    del loss
    assert profiler.profiler is not None
    results: Any = profiler.profiler.kineto_results
    return sum(event.nbytes() for event in results.events() if event.name() == MEMORY_EVENT)


def process_growth_bytes(network: str, contender: str, precision: str, T: int, size: int) -> int:
    """Return by how many bytes a separate process grows in the same forward pass."""
    command = [sys.executable, "-m", __name__, network, contender, precision, str(T), str(size)]
    environment = dict(os.environ) | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    process = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return int(process.stdout)


def main(network: str, contender: str, precision: str, T: str, size: str) -> None:
    """Print by how many bytes this process grows in a forward pass."""
    torch.set_num_threads(1)
    named = next(each for each in CONTENDERS if each.name == contender)
    # Libraries allocate memory of their own at the first step.
    Trained(named, network, precision).step(*batch(network, 1, 2))
    trained, (frames, labels) = Trained(named, network, precision), batch(network, int(T), int(size))
    gc.collect()
    before = psutil.Process().memory_info().rss
    loss = trained.loss(frames, labels)
    print(psutil.Process().memory_info().rss - before)
    del loss


if __name__ == "__main__":
    main(*sys.argv[1:])

"""How much memory a forward pass leaves behind for the backward pass, whoever holds it.

torch's allocator tells of every block that it gives and takes back; what is given and not taken back by the end of the
forward pass is what is held: in autograd's graph, in contexts of functions, in the states of neurons. Parameters,
optimiser and input were there before. The process's own growth is the check: the system knows nothing of torch.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
from torch.profiler import ProfilerActivity, profile

MEMORY_EVENT = "[memory]"


@dataclass(frozen=True)
class Held:
    """Bytes alive at the end of a forward pass, by the allocator; and by how much the process grew."""

    allocated: int
    resident_growth: int


def held(forward: Callable[[], Any]) -> Held:
    """Run a forward pass twice and look at what each leaves, by the allocator and by the process.

    Args:
        forward: Returns the loss, which holds the graph.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        loss = forward()
    del loss
    results: Any = profiler.profiler.kineto_results
    allocated = sum(event.nbytes() for event in results.events() if event.name() == MEMORY_EVENT)
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    loss = forward()
    growth = process.memory_info().rss - before
    del loss
    return Held(allocated, growth)

"""A function that runs once where a trial of an experiment would run, with what a trial is given."""

from collections.abc import Callable
from typing import Any

import ray

from service.spec_blocks import Resources


def submitted(function: Callable[..., Any], resources: Resources, *arguments: Any) -> ray.ObjectRef:
    """Submit the function to the connected cluster; it begins when a node has what a trial asks for.

    Args:
        function: Imported by the node, so of a module.
        resources: The experiment's.
        *arguments: The function's.

    Returns:
        What `ray.get` gives the result for.
    """
    demand = resources.demand()
    task = ray.remote(function).options(
        num_cpus=demand.pop("CPU"), num_gpus=demand.pop("GPU", 0), resources=demand, max_retries=3
    )
    return task.remote(*arguments)

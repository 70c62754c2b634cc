"""A function that runs once where a trial of an experiment would run, with what a trial is given."""

from collections.abc import Callable
from typing import Any

import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from service.spec.blocks import Resources


def submitted(
    function: Callable[..., Any], resources: Resources, *arguments: Any, num_workers: int = 1
) -> ray.ObjectRef:
    """Submit the function to the connected cluster; it begins when a node has what a trial asks for.

    Args:
        function: Imported by the node, so of a module.
        resources: The experiment's.
        *arguments: The function's.
        num_workers: What for: of several workers the function is the first, and room for the others is kept beside it
            until this job ends.

    Returns:
        What `ray.get` gives the result for.
    """
    demand = resources.demand()
    task = ray.remote(function).options(
        num_cpus=demand.pop("CPU"),
        num_gpus=demand.pop("GPU", 0),
        resources=demand,
        max_retries=3,
        scheduling_strategy=_strategy(resources, num_workers),
    )
    return task.remote(*arguments)


def _strategy(resources: Resources, num_workers: int) -> PlacementGroupSchedulingStrategy | str:
    if num_workers == 1:
        return "DEFAULT"
    group = placement_group([resources.demand()] * num_workers)
    return PlacementGroupSchedulingStrategy(
        group, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
    )

"""The submission of a function that runs once, on a node for trials and with the resources of a trial."""

from collections.abc import Callable
from typing import Any

import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from service.spec.blocks import Resources


def submitted(
    function: Callable[..., Any], resources: Resources, *arguments: Any, num_workers: int = 1
) -> ray.ObjectRef:
    """Submit a function to the connected cluster. It starts when a node has the resources of a trial.

    Args:
        function: A function of a module, because the node imports it.
        resources: The experiment's resources.
        *arguments: The function's arguments.
        num_workers: How many workers the function gathers. It is the first of them. The resources of the other workers
            are reserved until this job ends.

    Returns:
        A reference whose result `ray.get` returns.
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

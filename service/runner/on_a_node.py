"""The submission of a function that runs once, on a node for trials and with the resources of a trial."""

from collections.abc import Callable
from typing import Any

import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from service.spec.blocks import Resources


def submitted(
    function: Callable[..., Any], resources: Resources, *arguments: Any, num_workers: int = 1
) -> ray.ObjectRef:
    """Submit a function to the connected cluster. It starts when a node has the resources of a trial.

    Args:
        function: A function at the top level of a module, because the node imports it.
        resources: The experiment's resources.
        *arguments: The function's arguments.
        num_workers: How many workers the function gathers. The function runs in the first one. The resources of the
            other workers are reserved until this job ends.

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


def submitted_to(node: str, function: Callable[..., Any], *arguments: Any) -> ray.ObjectRef:
    """Submit a function to one node of the connected cluster. The function takes none of the node's resources.

    Args:
        node: The node's id in Ray.
        function: A function at the top level of a module, because the node imports it.
        *arguments: The function's arguments.

    Returns:
        A reference whose result `ray.get` returns. `ray.get` fails if the node is lost.
    """
    strategy = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(function).options(num_cpus=0, num_gpus=0, max_retries=0, scheduling_strategy=strategy)
    return task.remote(*arguments)


def other_node(resources: Resources, than: str) -> str | None:
    """Return the id of another node that is large enough for a trial's worker; None if there is none."""
    demand = resources.demand()
    fitting = (
        node["NodeID"]
        for node in ray.nodes()
        if node["Alive"] and all(node["Resources"].get(kind, 0.0) >= amount for kind, amount in demand.items())
    )
    return next((node for node in fitting if node != than), None)

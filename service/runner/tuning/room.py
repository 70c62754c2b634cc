"""The size of a cluster, in workers of trials, and the limits that follow from it."""

from math import ceil

import ray

from service.spec import Experiment
from service.spec.blocks import Resources

# The time, in s, from one look at the cluster's size to the next.
LOOK_S = 2.0


def num_places(resources: Resources) -> int:
    """Return how many workers of trials fit into the cluster at its present size."""
    cluster = ray.cluster_resources()
    return int(min(cluster.get(kind, 0.0) / share for kind, share in resources.demand().items()))


def max_open(spec: Experiment, slots: int) -> int | None:
    """Return how many configurations may be open at once, if `slots` trials fit into the cluster; None: any number.

    A search that learns does not start a configuration before a slot is free: it could not use results that arrive
    while the configuration waits. The spec may set another limit.
    """
    if spec.search is None:
        return None
    if spec.search.max_concurrent is None and spec.search.learns:
        return max(1, ceil(slots / len(spec.all_seeds)))
    return spec.search.max_concurrent

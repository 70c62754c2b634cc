"""The room of a cluster for trials, and the limits that follow from it."""

from math import ceil

import ray

from service.spec import Experiment
from service.spec.blocks import Resources

# Trials that Tune may hold ready beside those that run. More of them start a large cluster faster; fewer let a chain's
# next stage start sooner, because Tune starts processes in the order in which the trials were offered.
MAX_PENDING = 16


def num_slots(resources: Resources) -> int:
    """Return how many trials the cluster has room for, as it is now."""
    cluster = ray.cluster_resources()
    room = int(min(cluster.get(kind, 0.0) / share for kind, share in resources.demand().items()))
    return room // resources.workers_per_trial


def max_pending(resources: Resources, slots: int) -> int:
    """Return how many trials Tune may hold ready, where there is room for `slots` trials."""
    spare = min(MAX_PENDING, slots)
    # The scheduler can spare processes that are being started only if it has other trials for a free process.
    return max(1, slots + spare if resources.reuse_actors else spare)


def max_open(spec: Experiment, slots: int) -> int | None:
    """Return how many configurations may be open at once, where there is room for `slots` trials; None: any number.

    A search that learns does not start a configuration before a slot is free: it could not use results that arrive
    while the configuration waits. The spec may set another limit.
    """
    if spec.search is None:
        return None
    if spec.search.max_concurrent is None and spec.search.learns:
        return max(1, ceil(slots / len(spec.seeds)))
    return spec.search.max_concurrent

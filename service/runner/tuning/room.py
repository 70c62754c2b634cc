"""The number of trials that fit into a cluster, and the limits that follow from it."""

from math import ceil

import ray

from service.spec import Experiment
from service.spec.blocks import Resources

# The largest number of trials that Tune may hold ready in addition to the running ones. A larger number fills a large
# cluster faster. A smaller number lets a chain's next stage start sooner, because Tune starts processes in the order in
# which the trials were offered.
MAX_PENDING = 16


def num_slots(resources: Resources) -> int:
    """Return how many trials fit into the cluster at its present size."""
    cluster = ray.cluster_resources()
    room = int(min(cluster.get(kind, 0.0) / share for kind, share in resources.demand().items()))
    return room // resources.workers_per_trial


def max_pending(resources: Resources, slots: int) -> int:
    """Return how many trials Tune may hold ready, if `slots` trials fit into the cluster."""
    spare = min(MAX_PENDING, slots)
    # The scheduler lets a starting process finish its start only if another trial waits for the free process.
    return max(1, slots + spare if resources.reuse_actors else spare)


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

"""Run as a program: loses an actor with its node, and one to Ray's memory monitor; prints what Ray says, as JSON."""

import json
import os
import tempfile
import time

import ray
from ray.cluster_utils import Cluster

# Both are the cluster's own settings; so short, nothing has to be waited for.
CONFIG = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
# Of the machine's memory: whatever else it does, more than that is in use.
NO_MEMORY = {"memory_usage_threshold": 0.001, "memory_monitor_refresh_ms": 100}

START_S = 120
# Much sooner, but on a machine that is busy with other things.
LOST_S = 240


class Sleeper:
    """What a trial is to Ray: an actor at work."""

    def is_up(self) -> bool:
        return True

    def work(self) -> None:
        time.sleep(600)


def said_of_a_lost_node() -> str:
    node = {"num_cpus": 0, "include_dashboard": False, "_system_config": CONFIG}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    actor = ray.remote(num_cpus=1)(Sleeper).remote()
    assert ray.get(actor.is_up.remote(), timeout=START_S)
    work = actor.work.remote()
    cluster.remove_node(second, allow_graceful=False)
    said = _said(work)
    ray.shutdown()
    cluster.shutdown()
    return said


def said_where_memory_is_short() -> str:
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _system_config=NO_MEMORY)
    said = _said(ray.remote(num_cpus=1)(Sleeper).remote().work.remote())
    ray.shutdown()
    return said


def _said(work: object) -> str:
    try:
        ray.get(work, timeout=LOST_S)
    except ray.exceptions.GetTimeoutError:
        raise
    except ray.exceptions.RayError as error:
        return str(error)
    raise AssertionError("nothing was lost")


if __name__ == "__main__":
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as home:
        os.environ["RAY_TMPDIR"] = home
        print(json.dumps({"node": said_of_a_lost_node(), "memory": said_where_memory_is_short()}), flush=True)

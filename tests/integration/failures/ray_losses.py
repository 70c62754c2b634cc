"""A program that loses two actors, one with its node and one to Ray's memory monitor. It prints Ray's texts as JSON."""

import json
import os
import tempfile
import time

import ray
from ray.cluster_utils import Cluster

# Settings of the cluster, in ms. Ray notices the loss of a node after five seconds and not earlier, because a working
# node on a busy machine may miss some checks.
CONFIG = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
# The memory monitor ends actors above a share of the machine's memory that is always in use.
NO_MEMORY = {"memory_usage_threshold": 0.001, "memory_monitor_refresh_ms": 100}

# The longest wait, in s, for an actor to start.
START_S = 120
# The longest wait, in s, for the loss of an actor: long enough for a busy machine.
LOST_S = 240


class Sleeper:
    """An actor that works for a long time, like a trial."""

    def is_up(self) -> bool:
        return True

    def work(self) -> None:
        time.sleep(600)


def text_of_a_lost_node() -> str:
    node = {"num_cpus": 0, "include_dashboard": False, "_system_config": CONFIG}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    actor = ray.remote(num_cpus=1)(Sleeper).remote()
    assert ray.get(actor.is_up.remote(), timeout=START_S)
    work = actor.work.remote()
    cluster.remove_node(second, allow_graceful=False)
    text = _text(work)
    ray.shutdown()
    cluster.shutdown()
    return text


def text_of_short_memory() -> str:
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _system_config=NO_MEMORY)
    text = _text(ray.remote(num_cpus=1)(Sleeper).remote().work.remote())
    ray.shutdown()
    return text


def _text(work: object) -> str:
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
        print(json.dumps({"node": text_of_a_lost_node(), "memory": text_of_short_memory()}), flush=True)

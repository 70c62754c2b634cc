"""A program that asks another node of a real cluster about a fault, and prints the node and its answer as JSON.

The head node is too small for a trial. Of the two other nodes, one has found the fault; all CPUs are in use.
"""

import json

import ray
from ray.cluster_utils import Cluster
from ray.util.placement_group import placement_group

from service.runner.checking.check_records import CheckReport
from service.runner.checking.second_opinion import another_node_asked
from service.spec.blocks import Resources
from tet_core.config import TrainConfig

GOOD = {"dataset": {"name": "digits"}, "model": {"name": "vgg_small", "width": 2}, "T": 1, "epochs": 1}
BAD = GOOD | {"model": {"name": "entry_point", "entry_point": "not_installed_here"}}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    reserved = placement_group([{"CPU": 1}] * 2)
    ray.get(reserved.ready())
    finder, other = (node.node_id for node in nodes)
    ask = another_node_asked(Resources(), None, lambda: False)
    first = CheckReport(host="finder", node=finder, at_ms=1, num_subjects=2)
    configs = [TrainConfig.model_validate(each | {"loss": {"name": "sdt"}}) for each in (BAD, GOOD)]
    second = ask(first, configs)
    assert second is not None
    cluster.remove_node(nodes[1])
    answers = {
        "asked_the_other": second.node == other,
        "checked": len(second.checked),
        "faults": [fault.failure.type for fault in second.faults],
        "without_another": ask(first, configs),
    }
    ray.shutdown()
    cluster.shutdown()
    print(json.dumps(answers))


if __name__ == "__main__":
    main()

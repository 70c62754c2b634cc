"""Tests whether a trial fits on the nodes."""

import re

import pytest

from service.control.placement import placement
from service.spec.blocks import Resources

NODES = [{"CPU": 4.0}, {"CPU": 2.0, "GPU": 1.0, "accelerator_type:A100": 1.0}]


@pytest.mark.parametrize(
    ("wanted", "possible", "detail"),
    [
        ({"cpus_per_trial": 1}, True, "fits on 2 of 2"),
        ({"cpus_per_trial": 2, "gpus_per_trial": 0.5}, True, "fits on 1 of 2"),
        # The cluster has both resources, but not on one node.
        ({"cpus_per_trial": 4, "gpus_per_trial": 1}, False, r"the largest offer 4 CPU\(s\), 1 GPU\(s\)$"),
        ({"cpus_per_trial": 5}, False, r"a trial needs 5 CPU\(s\) and 0 GPU\(s\), and no node has them"),
        ({"gpus_per_trial": 2}, False, r"a trial needs 1 CPU\(s\) and 2 GPU\(s\), and no node has them"),
        ({"gpus_per_trial": 1, "accelerator_type": "A100"}, True, r"1 GPU\(s\) of an A100 fits on 1 of 2"),
        ({"gpus_per_trial": 1, "accelerator_type": "H100"}, False, "of an H100, and no node has .*accelerators: A100$"),
        ({"cpus_per_trial": 4, "accelerator_type": "A100"}, False, "of an A100, and no node has"),
    ],
)
def test_a_trial_needs_one_node_that_has_all_its_resources(
    wanted: dict[str, object], possible: bool, detail: str
) -> None:
    found = placement(Resources.model_validate(wanted).demand(), NODES)
    assert found.possible is possible
    assert re.search(detail, found.detail), found.detail


@pytest.mark.parametrize(
    ("wanted", "num", "possible", "detail"),
    [
        ({"cpus_per_trial": 1}, 6, True, r"a trial of 6 workers, each of 1 CPU\(s\) and 0 GPU\(s\) fits on 2 of 2"),
        ({"cpus_per_trial": 1}, 7, False, r"needs 7 workers, each of 1 CPU\(s\) .*; only 6 fit on 2 node\(s\)"),
        ({"cpus_per_trial": 2}, 3, True, "fits on 2 of 2"),
        # The cluster has six CPUs, but only one node has three.
        ({"cpus_per_trial": 3}, 2, False, "only 1 fit on 2"),
        ({"cpus_per_trial": 1, "gpus_per_trial": 1}, 2, False, "only 1 fit on 2"),
        ({"cpus_per_trial": 8}, 2, False, r"a trial needs 2 workers, each of 8 CPU\(s\) .*, and no node has them"),
    ],
)
def test_every_worker_needs_its_resources_on_one_node(
    wanted: dict[str, object], num: int, possible: bool, detail: str
) -> None:
    found = placement(Resources.model_validate(wanted).demand(), NODES, num)
    assert found.possible is possible
    assert re.search(detail, found.detail), found.detail


def test_the_placement_is_unknown_without_an_answer_and_impossible_without_nodes() -> None:
    assert placement(Resources().demand(), None).possible == "unknown"
    assert placement(Resources().demand(), []).possible is False

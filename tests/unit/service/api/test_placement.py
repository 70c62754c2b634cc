import pytest

from service.api.experiments.placement import placement
from service.spec import Resources

NODES = [{"CPU": 4.0}, {"CPU": 2.0, "GPU": 1.0}]


@pytest.mark.parametrize(
    ("cpus", "gpus", "possible", "detail"),
    [
        (1, 0, True, "fits on 2 of 2"),
        (2, 0.5, True, "fits on 1 of 2"),
        (4, 1, False, r"the largest offer 4 CPU\(s\), 1 GPU\(s\)"),  # each is there, but not on one node
        (5, 0, False, r"no node has 5 CPU\(s\)"),
        (1, 2, False, r"no node has 1 CPU\(s\) and 2 GPU\(s\)"),
    ],
)
def test_a_trial_needs_one_node_that_has_all_it_wants(cpus: int, gpus: float, possible: bool, detail: str) -> None:
    found = placement(Resources(cpus_per_trial=cpus, gpus_per_trial=gpus), NODES)
    assert found.possible is possible
    with pytest.raises(ValueError, match=detail):
        raise ValueError(found.detail)


def test_a_cluster_that_cannot_be_asked_leaves_it_open_and_an_empty_one_does_not() -> None:
    assert placement(Resources(), None).possible == "unknown"
    assert placement(Resources(), []).possible is False

"""A test of the second opinion with a real cluster."""

from tests.integration.tune import asked_nodes
from tests.integration.tune.test_scheduler import run


def test_another_node_that_is_large_enough_answers_even_if_it_is_busy() -> None:
    assert run(asked_nodes.__file__) == {
        "asked_the_other": True,
        "checked": 2,
        "faults": ["spec"],
        "without_another": None,
    }

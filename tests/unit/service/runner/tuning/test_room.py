"""Tests of the limits that follow from the size of a cluster."""

from typing import Any

import pytest

from service.runner.tuning.room import max_open
from service.spec import parse
from tests.unit.service.spec.test_spec import spec

SPACE = {"optimizer.lr": {"log_range": [1e-4, 1.0]}}


@pytest.mark.parametrize(
    ("search", "slots", "expected"),
    [
        (None, 8, None),
        ({"method": "random", "num_configurations": 8}, 8, None),
        ({"method": "random", "num_configurations": 8, "max_concurrent": 2}, 8, 2),
        ({"method": "tpe", "num_configurations": 8}, 0, 1),
        ({"method": "tpe", "num_configurations": 8}, 6, 2),
        ({"method": "tpe", "num_configurations": 8}, 7, 3),
        ({"method": "tpe", "num_configurations": 8, "max_concurrent": 5}, 7, 5),
    ],
)
def test_a_search_that_learns_opens_only_as_many_configurations_as_fit_into_the_cluster(
    search: dict[str, Any] | None, slots: int, expected: int | None
) -> None:
    keys = {} if search is None else {"search": {**search, "space": SPACE}, "validation": 0.1}
    assert max_open(parse(spec(seeds=[0, 1, 2], **keys)), slots) == expected

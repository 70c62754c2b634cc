"""A few hundred steps of the state machine on each kind of database; `make test-fuzz` takes many thousands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.machine import Service
from tests.fuzz.world import World, world

QUICK = settings(
    max_examples=8,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def found(tmp_path: Path, database_url: str) -> Iterator[World]:
    with world(tmp_path / "home", database_url) as found:
        yield found


@pytest.mark.slow
def test_whatever_happens_in_whatever_order_every_promise_is_kept(found: World) -> None:
    run_state_machine_as_test(type("InThisWorld", (Service,), {"world": found}), settings=QUICK)

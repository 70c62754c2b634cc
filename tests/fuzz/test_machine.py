"""Tests of the service by a few hundred steps of the state machine; `make test-fuzz` runs many thousands."""

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
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def new_world(tmp_path: Path, database_url: str) -> Iterator[World]:
    with world(tmp_path / "home", database_url) as new_world:
        yield new_world


@pytest.mark.long
@pytest.mark.slow
def test_every_promise_is_kept_in_random_sequences_of_actions(new_world: World) -> None:
    run_state_machine_as_test(type("InThisWorld", (Service,), {"world": new_world}), settings=QUICK)

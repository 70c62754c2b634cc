"""Tests of the checks of a search and of early stopping."""

from typing import Any

import pytest

from service.plan import plan
from service.search.configurations import infeasible
from service.spec import parse
from tests.unit.service.spec.test_spec import faults, spec, tet, train

SPACE: dict[str, Any] = {"optimizer.lr": {"log_range": [1e-4, 1e-2]}}


def searched(stopping: Any = None, space: dict[str, Any] | None = None, **search: Any) -> dict[str, Any]:
    """Return a spec with a search and, if one is given, a rule of early stopping."""
    block = {"method": "random", "num_configurations": 4, "space": space or SPACE} | search
    extra = {} if stopping is None else {"early_stopping": stopping}
    return spec(validation=0.1, search=block, **extra)


def test_early_stopping_needs_a_search() -> None:
    by_field = faults(spec(early_stopping={"name": "asha"}))
    assert "must be left out without a search" in by_field["early_stopping"].detail


@pytest.mark.parametrize("name", ["asha", "median"])
def test_the_grace_must_be_shorter_than_the_longest_stage(name: str) -> None:
    by_field = faults(searched({"name": name, "grace_epochs": 20}))
    assert "must be below 20, the epochs of the longest train stage" in by_field["early_stopping.grace_epochs"].detail
    assert parse(searched({"name": name, "grace_epochs": 19})).early_stopping is not None


def test_early_stopping_needs_a_single_goal() -> None:
    by_field = faults(searched({"name": "asha"}, goal=["val/accuracy", "val/energy_j"]))
    assert "two goals" in by_field["early_stopping"].detail


@pytest.mark.parametrize("place", ["epochs", "arms.TET.epochs", "arms.TIT.stages.0.epochs"])
def test_early_stopping_is_refused_if_epochs_are_searched(place: str) -> None:
    by_field = faults(searched({"name": "asha"}, {place: {"int_range": [2, 20]}}))
    assert "equal epochs would not be equal progress" in by_field["early_stopping"].detail


@pytest.mark.parametrize(
    ("goal", "field"),
    [
        (["val/energy_j"], "search.goal[0]"),
        (["test/accuracy"], "search.goal[0]"),
        (["val/accuracy", "val/accuracy"], "search.goal[1]"),
        (["val/accuracy", "val/energy_j", "train_time_s"], "search.goal"),
        ([], "search.goal"),
    ],
)
def test_invalid_goals_are_refused(goal: list[str], field: str) -> None:
    assert field in faults(searched(goal=goal))


def test_two_goals_are_accepted() -> None:
    for cost in ("val/energy_j", "train_time_s"):
        assert parse(searched(method="tpe", goal=["val/accuracy", cost])).search is not None


@pytest.mark.parametrize("method", ["random", "grid", "tpe"])
@pytest.mark.parametrize(
    ("place", "values", "instead"),
    [
        ("batch_size", {"log_range": [8, 128]}, "int_range: [8, 128].*choice: [8, 16, 32, 64, 128]"),
        ("batch_size", {"range": [7.5, 33]}, "int_range: [8, 33].*choice: [8, 16, 32]"),
        ("arms.TIT.stages.0.T", {"log_range": [1, 8]}, "int_range: [1, 8].*choice: [1, 2, 4, 8]"),
    ],
)
def test_a_range_of_real_numbers_for_an_integer_names_the_range_of_integers(
    method: str, place: str, values: dict[str, Any], instead: str
) -> None:
    grid = {"num_configurations": None, "method": method} if method == "grid" else {"method": method}
    dimension = values | ({"points": 3} if method == "grid" else {})
    (found,) = infeasible(parse(searched(None, {place: dimension}, **grid)))
    kind = next(iter(values))
    assert found.detail.startswith(f"takes integers, and a {kind} gives real numbers: write ")
    parts = instead.split(".*")
    assert all(part in found.detail for part in parts), found.detail


def test_a_range_beyond_the_limits_of_a_number_is_refused_for_its_limits() -> None:
    (found,) = infeasible(parse(searched(None, {"neuron.tau": {"range": [0.5, 2]}})))
    assert "SpikingJelly" in found.detail
    (found,) = infeasible(parse(searched(None, {"batch_size": {"int_range": [0, 8]}})))
    assert "must be an integer at least 1" in found.detail


def test_invalid_rules_of_early_stopping_are_refused() -> None:
    assert faults(searched({"name": "hyperband"}))
    assert faults(searched({"name": "asha", "reduction_factor": 1}))
    assert faults(searched({"name": "asha", "min_others": 3}))


def test_a_search_that_learns_needs_a_number_of_configurations_up_to_its_limit() -> None:
    assert "search.num_configurations" in faults(searched(method="tpe", num_configurations=None))
    assert "1,000" in faults(searched(method="tpe", num_configurations=1_001))["search.num_configurations"].detail
    assert not infeasible(parse(searched(method="tpe", num_configurations=1_000)))


def test_the_chains_of_a_search_that_learns_are_planned_before_they_have_values() -> None:
    chains = plan(parse(searched(method="tpe", num_configurations=5)))
    assert len({chain.id for chain in chains}) == len(chains) == 3 * 3 * 5
    assert not any(chain.proposed or chain.hyperparameters for chain in chains)
    arms = [{"name": "SDT", "stages": [train()]}, {"name": "TET", "stages": [train(loss=tet())]}]
    mixed = plan(parse({**searched(method="tpe", space={"arms.TET.loss.lamb": {"range": [0.0, 1.0]}}), "arms": arms}))
    assert {chain.arm: chain.proposed for chain in mixed} == {"SDT": True, "TET": False}


def test_values_that_the_spec_refuses_together_are_found_before_a_search_starts() -> None:
    space = {"optimizer.name": {"choice": ["adam", "sgd"]}, "optimizer.momentum": {"range": [0.0, 0.9]}}
    assert infeasible(parse(searched(method="tpe", num_configurations=20, space=space)))

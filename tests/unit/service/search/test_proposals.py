"""Tests of grids and random configurations: each depends on the seed and its number alone, and no two are equal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.search.proposals import grid_size, proposals
from service.spec.search import Dimension, Search

SPACE: dict[str, Any] = {
    "optimizer.lr": {"log_range": (1e-4, 1e-2)},
    "surrogate.gamma": {"range": (0.5, 2.0)},
    "batch_size": {"int_range": (16, 64)},
    "loss.lamb": {"choice": (0.01, 0.05, 0.1)},
}


def search(**changes: Any) -> Search:
    return Search(**{"method": "random", "num_configurations": 40, "space": SPACE, **changes})


def test_draws_lie_within_their_dimensions() -> None:
    drawn = proposals(search(num_configurations=500), list(SPACE))
    assert len(drawn) == 500
    assert all(1e-4 <= each["optimizer.lr"] <= 1e-2 for each in drawn)
    assert all(0.5 <= each["surrogate.gamma"] < 2.0 for each in drawn)
    assert {each["batch_size"] for each in drawn} == set(range(16, 65))
    assert {each["loss.lamb"] for each in drawn} == {0.01, 0.05, 0.1}


def test_a_log_range_is_drawn_evenly_in_the_logarithm() -> None:
    drawn = [each["optimizer.lr"] for each in proposals(search(num_configurations=2_000), ["optimizer.lr"])]
    below = sum(lr < 1e-3 for lr in drawn)
    assert 850 < below < 1_150


@given(more=st.integers(1, 60), seed=st.integers(0, 2**31 - 1))
def test_a_larger_search_starts_with_the_configurations_of_the_smaller_one(more: int, seed: int) -> None:
    few = proposals(search(num_configurations=20, seed=seed), list(SPACE))
    many = proposals(search(num_configurations=20 + more, seed=seed), list(SPACE))
    assert many[:20] == few


def test_another_seed_draws_other_configurations() -> None:
    assert proposals(search(seed=1), list(SPACE)) != proposals(search(seed=2), list(SPACE))


def test_a_shared_place_has_the_same_values_in_arms_with_different_spaces() -> None:
    alone = proposals(search(), ["optimizer.lr"])
    whole = proposals(search(), list(SPACE))
    assert [each["optimizer.lr"] for each in alone] == [each["optimizer.lr"] for each in whole]


@given(seed=st.integers(0, 1_000))
def test_a_repeated_configuration_is_drawn_again_until_all_are_drawn(seed: int) -> None:
    space: dict[str, Any] = {"a": {"choice": (1, 2, 3)}, "b": {"int_range": (0, 3)}}
    drawn = proposals(search(space=space, seed=seed), ["a", "b"])
    assert len({tuple(each.values()) for each in drawn}) == len(drawn) == 12


def test_an_arm_that_no_place_concerns_has_one_configuration() -> None:
    assert proposals(search(), []) == ({},)


def test_a_grid_has_all_combinations_and_both_ends() -> None:
    space: dict[str, Any] = {
        "optimizer.lr": {"log_range": (1e-4, 1e-2), "points": 3},
        "surrogate.gamma": {"range": (0.5, 2.0), "points": 4},
        "T": {"int_range": (1, 3)},
        "loss.lamb": {"choice": (0.01, 0.05)},
    }
    grid = proposals(Search(method="grid", space=space), list(space))
    assert len(grid) == len({tuple(each.values()) for each in grid}) == 3 * 4 * 3 * 2
    assert len(grid) == grid_size({place: Dimension(**each) for place, each in space.items()})
    assert sorted({each["optimizer.lr"] for each in grid}) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert {each["optimizer.lr"] for each in grid} >= {1e-4, 1e-2}
    assert sorted({each["surrogate.gamma"] for each in grid}) == [0.5, 1.0, 1.5, 2.0]
    assert {"optimizer.lr": 1e-4, "surrogate.gamma": 0.5, "T": 1, "loss.lamb": 0.01} in grid


def test_the_order_of_a_grid_depends_on_the_seed() -> None:
    space = {"T": Dimension(int_range=(1, 8)), "optimizer.lr": Dimension(log_range=(1e-4, 1e-2), points=4)}
    orders = [proposals(Search(method="grid", space=space, seed=seed), list(space)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(map(str, orders[0])) == sorted(map(str, orders[2]))
    assert [each["T"] for each in orders[0]] != sorted(each["T"] for each in orders[0])


def test_a_grid_with_points_over_an_integer_range_has_one_integer_for_each_point() -> None:
    space: dict[str, Any] = {"batch_size": {"int_range": (16, 128), "points": 4}}
    tried = proposals(Search(method="grid", space=space), ["batch_size"])
    assert sorted(each["batch_size"] for each in tried) == [16, 53, 91, 128]

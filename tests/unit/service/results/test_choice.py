"""Tests of the choice of an arm's best configuration."""

import pytest

from service.results.choice import best_of
from service.results.comparison import Result
from service.results.search_progress import Best, arm_searches
from service.results.tried import Tried
from service.states import WorkState
from service.store.sums import ConfigurationTotals


def tried(lr: float, validation: dict[int, float], test: float = 0.5) -> Tried:
    """Return a configuration with a validation accuracy for each seed. Its test accuracy is the same at all seeds."""
    return Tried({"optimizer.lr": lr}, {seed: Result(test, 1.0) for seed in validation}, validation)


def test_the_best_configuration_on_validation_is_chosen_and_the_test_set_is_ignored() -> None:
    good = tried(0.1, {0: 0.9, 1: 0.8}, test=0.1)
    assert best_of([tried(0.2, {0: 0.8, 1: 0.8}, test=0.99), good, tried(0.3, {0: 0.1, 1: 0.9})]) is good


def test_a_configuration_with_results_at_more_seeds_is_preferred() -> None:
    complete = tried(0.2, {0: 0.7, 1: 0.7})
    assert best_of([tried(0.1, {0: 0.99}), complete]) is complete


def test_of_equal_configurations_the_first_is_chosen() -> None:
    first = tried(0.1, {0: 0.7})
    assert best_of([first, tried(0.2, {0: 0.7})]) is first


def test_without_results_nothing_is_chosen() -> None:
    assert best_of([]) is None
    assert best_of([tried(0.1, {})]) is None


def totals(number: int, tried: Tried, num_seeds: int, others: WorkState) -> ConfigurationTotals:
    """Return the database's totals of a configuration; `others` is the state of its chains without a result."""
    states = {WorkState.SUCCEEDED} if tried.results else set()
    states |= {others} if len(tried.results) < num_seeds else set()
    return ConfigurationTotals(
        "TET", number, frozenset(states), 0, 1, 0.0, None, len(tried.results), tried.val_accuracy
    )


@pytest.mark.parametrize("others", [WorkState.FAILED, WorkState.CANCELLED, WorkState.RUNNING])
def test_progress_and_comparison_choose_the_same_if_no_configuration_has_all_seeds(others: WorkState) -> None:
    configurations = [tried(0.1, {0: 0.99}), tried(0.2, {0: 0.7, 2: 0.7}), tried(0.3, {1: 0.8, 2: 0.8}), tried(0.4, {})]
    assert best_of(configurations) is configurations[2], "the best of those with results at the most seeds"
    [arm] = arm_searches(["TET"], [totals(number, each, 3, others) for number, each in enumerate(configurations)])
    assert arm.best == Best(2, 0.8, complete=False)


def test_a_configuration_with_all_seeds_is_preferred_to_one_with_a_failed_seed() -> None:
    configurations = [tried(0.1, {0: 0.9, 1: 0.9}), tried(0.2, {0: 0.5, 1: 0.5, 2: 0.5})]
    assert best_of(configurations) is configurations[1]
    [arm] = arm_searches(
        ["TET"], [totals(number, each, 3, WorkState.FAILED) for number, each in enumerate(configurations)]
    )
    assert arm.best == Best(1, 0.5, complete=True)

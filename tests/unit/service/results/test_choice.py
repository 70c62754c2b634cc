"""Which configuration stands for an arm."""

import pytest

from service.results.choice import best_of
from service.results.comparison import Result
from service.results.search_progress import Best, arm_searches
from service.results.tried import Tried
from service.states import WorkState
from service.store.sums import ConfigurationTotals


def tried(lr: float, validation: dict[int, float], test: float = 0.5) -> Tried:
    return Tried({"optimizer.lr": lr}, {seed: Result(test, 1.0) for seed in validation}, validation)


def test_the_best_on_validation_is_chosen_whatever_the_test_set_says() -> None:
    good = tried(0.1, {0: 0.9, 1: 0.8}, test=0.1)
    assert best_of([tried(0.2, {0: 0.8, 1: 0.8}, test=0.99), good, tried(0.3, {0: 0.1, 1: 0.9})]) is good


def test_a_lucky_seed_is_no_match_for_a_mean_over_more() -> None:
    complete = tried(0.2, {0: 0.7, 1: 0.7})
    assert best_of([tried(0.1, {0: 0.99}), complete]) is complete


def test_the_first_of_equals_is_best_of() -> None:
    first = tried(0.1, {0: 0.7})
    assert best_of([first, tried(0.2, {0: 0.7})]) is first


def test_where_nothing_has_come_to_an_end_there_is_no_choice() -> None:
    assert best_of([]) is None
    assert best_of([tried(0.1, {})]) is None


def summed(number: int, tried: Tried, num_seeds: int, others: WorkState) -> ConfigurationTotals:
    """The same configuration as the database sums it up; the chains without a result are in another state."""
    states = {WorkState.SUCCEEDED} if tried.results else set()
    states |= {others} if len(tried.results) < num_seeds else set()
    return ConfigurationTotals(
        "TET", number, frozenset(states), 0, 1, 0.0, None, len(tried.results), tried.val_accuracy
    )


@pytest.mark.parametrize("others", [WorkState.FAILED, WorkState.CANCELLED, WorkState.RUNNING])
def test_where_every_configuration_lost_a_seed_the_progress_tells_what_the_comparison_shows(others: WorkState) -> None:
    configurations = [tried(0.1, {0: 0.99}), tried(0.2, {0: 0.7, 2: 0.7}), tried(0.3, {1: 0.8, 2: 0.8}), tried(0.4, {})]
    assert best_of(configurations) is configurations[2], "the best of those with results at the most seeds"
    [arm] = arm_searches(["TET"], [summed(number, each, 3, others) for number, each in enumerate(configurations)])
    assert arm.best == Best(2, 0.8, complete=False)


def test_a_configuration_with_all_seeds_goes_before_one_that_lost_a_seed() -> None:
    configurations = [tried(0.1, {0: 0.9, 1: 0.9}), tried(0.2, {0: 0.5, 1: 0.5, 2: 0.5})]
    assert best_of(configurations) is configurations[1]
    [arm] = arm_searches(
        ["TET"], [summed(number, each, 3, WorkState.FAILED) for number, each in enumerate(configurations)]
    )
    assert arm.best == Best(1, 0.5, complete=True)

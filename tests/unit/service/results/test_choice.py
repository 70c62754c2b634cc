"""Which configuration stands for an arm."""

from service.results.choice import Tried, chosen
from service.results.comparison import Result


def tried(lr: float, validation: dict[int, float], test: float = 0.5) -> Tried:
    return Tried({"optimizer.lr": lr}, {seed: Result(test, 1.0) for seed in validation}, validation)


def test_the_best_on_validation_is_chosen_whatever_the_test_set_says() -> None:
    good = tried(0.1, {0: 0.9, 1: 0.8}, test=0.1)
    assert chosen([tried(0.2, {0: 0.8, 1: 0.8}, test=0.99), good, tried(0.3, {0: 0.1, 1: 0.9})]) is good


def test_a_lucky_seed_is_no_match_for_a_mean_over_more() -> None:
    complete = tried(0.2, {0: 0.7, 1: 0.7})
    assert chosen([tried(0.1, {0: 0.99}), complete]) is complete


def test_the_first_of_equals_is_chosen() -> None:
    first = tried(0.1, {0: 0.7})
    assert chosen([first, tried(0.2, {0: 0.7})]) is first


def test_where_nothing_has_come_to_an_end_there_is_no_choice() -> None:
    assert chosen([]) is None
    assert chosen([tried(0.1, {})]) is None

"""Tests of decisions while seeds are added: when they come, and how often they are wrong."""

import numpy as np
import pytest

from service.statistics.until import PairDecision, StopGoal, decide_pair
from service.statistics.verdict import Verdict

# The end of an experiment that was not decided.
AT_MOST = 200


def decisions(true: float, pairs: int, experiments: int, seeds: int) -> list[list[PairDecision | None]]:
    draws = np.random.default_rng(11)
    goal = StopGoal(alpha=0.05 / pairs)
    return [[decide_pair(list(draws.normal(true, 1, seeds)), goal) for _ in range(pairs)] for _ in range(experiments)]


def ends(decision: PairDecision) -> tuple[float, float]:
    assert decision.low is not None
    assert decision.high is not None
    return decision.low, decision.high


@pytest.mark.parametrize("pairs", [1, 2, 4])
def test_at_most_6_percent_of_null_experiments_ever_stop_with_a_false_verdict(pairs: int) -> None:
    outcomes = decisions(0.0, pairs, 2000, 30)
    wrong = sum(any(each is not None for each in experiment) for experiment in outcomes)
    assert 0 < wrong / len(outcomes) <= 0.06


def test_a_difference_of_one_and_a_half_deviations_is_decided_by_nine_seeds_in_half_of_the_experiments() -> None:
    outcomes = decisions(1.5, 1, 2000, 60)
    seeds = [each[0].n if each[0] is not None else AT_MOST for each in outcomes]
    assert np.median(seeds) <= 9
    assert min(seeds) >= 5
    assert all(each[0] is None or each[0].verdict is Verdict.BETTER for each in outcomes)


def test_a_decision_is_that_of_the_first_seed_that_suffices_whatever_follows() -> None:
    differences = list(np.random.default_rng(0).normal(2, 1, 12))
    goal = StopGoal(alpha=0.05)
    decision = decide_pair(differences, goal)
    assert decision is not None
    assert decide_pair(differences[: decision.n - 1], goal) is None
    assert decide_pair(differences[: decision.n], goal) == decision
    assert decide_pair([*differences[: decision.n], -100.0, 50.0], goal) == decision


def test_small_differences_are_equivalent_with_a_margin_and_never_decided_without() -> None:
    differences = [0.001 * (-1) ** i for i in range(40)]
    assert decide_pair(differences, StopGoal(alpha=0.05)) is None
    decision = decide_pair(differences, StopGoal(alpha=0.05, margin=0.01))
    assert decision is not None
    assert decision.verdict is Verdict.EQUIVALENT
    low, high = ends(decision)
    assert -0.01 < low < 0 < high < 0.01


def test_a_half_width_waits_for_the_interval_and_not_for_the_verdict() -> None:
    differences = [0.1 + 0.02 * (-1) ** i for i in range(100)]
    at_verdict = decide_pair(differences, StopGoal(alpha=0.05))
    at_width = decide_pair(differences, StopGoal(alpha=0.05, half_width=0.01))
    assert at_verdict is not None
    assert at_width is not None
    assert at_verdict.n < at_width.n
    low, high = ends(at_width)
    assert high - low <= 0.02
    assert at_width.verdict is Verdict.BETTER
    lower = decide_pair(differences, StopGoal(alpha=0.05, higher_is_better=False))
    assert lower is not None
    assert lower.verdict is Verdict.WORSE

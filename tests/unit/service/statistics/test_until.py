"""Tests of decisions while seeds are added: when they come, and how often they are wrong."""

import numpy as np
import pytest

from service.statistics.anytime import anytime_p, confidence_interval
from service.statistics.until import (
    PairDecision,
    SeedOutcome,
    StopGoal,
    decide_arms,
    decide_pair,
    growing_sentence,
    in_order,
    judge_growing,
    stop_goal,
)
from service.statistics.verdict import JudgedPair, Verdict, Wording

# The end of an experiment that was not decided.
AT_MOST = 200
POINTS = Wording(lambda x: f"{100 * x:.1f}", "points", 0.01, "1 point")
NEAR = [0.012, 0.010, 0.011, 0.013, 0.011, 0.012]


def decisions(true: float, pairs: int, experiments: int, seeds: int) -> list[list[PairDecision | None]]:
    draws = np.random.default_rng(11)
    goal = stop_goal(pairs, None, None)
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


def outcomes(*values: float | None, weights: str | None = None) -> list[SeedOutcome | None]:
    return [None if value is None else SeedOutcome(value, weights) for value in values]


def test_a_missing_seed_blocks_all_later_ones() -> None:
    zeros = outcomes(*[0.0] * 6)
    assert len(in_order(outcomes(*NEAR), zeros)) == 6
    assert decide_arms(outcomes(*NEAR), zeros, StopGoal(0.05)) is not None
    for arm, to in (
        (outcomes(*NEAR[:2], None, *NEAR[3:]), zeros),
        (outcomes(*NEAR), outcomes(0.0, 0.0, None, *[0.0] * 3)),
    ):
        assert len(in_order(arm, to)) == 2
        assert decide_arms(arm, to, StopGoal(0.05)) is None


def test_different_weights_end_a_pair_unless_it_was_decided_before() -> None:
    arm, to = outcomes(*NEAR, weights="aa"), outcomes(*[0.0] * 6, weights="aa")
    other = outcomes(0.0, weights="bb")
    apart = PairDecision(3, Verdict.NOT_COMPARABLE)
    assert decide_arms(arm, [*to[:2], *other, *to[3:]], StopGoal(0.05)) == apart
    decision = decide_arms(arm, [*to[:5], *other], StopGoal(0.05))
    assert decision is not None
    assert (decision.n, decision.verdict) == (5, Verdict.BETTER)
    unknown = outcomes(*[0.0] * 6)  # an earlier version recorded no weights
    assert decide_arms(arm, unknown, StopGoal(0.05)) == decision


def test_a_pair_is_judged_by_the_seeds_up_to_its_decision() -> None:
    pair = judge_growing([*NEAR[:5], 0.9, -0.9], StopGoal(0.05), num_pairs=1)
    interval = confidence_interval(NEAR[:5], 0.05)
    assert pair.test.n == 5
    assert [pair.test.low, pair.test.high] == pytest.approx([interval.low, interval.high])
    assert pair.test.p == pytest.approx(anytime_p(NEAR[:5]))
    assert (pair.test.p_sign_flip, pair.test.detectable) == (None, None)
    of_four = judge_growing(NEAR, stop_goal(4, None, None), num_pairs=4)
    assert of_four.test.p is not None
    assert of_four.p_holm == pytest.approx(4 * of_four.test.p)
    assert judge_growing([0.0] * 9, stop_goal(4, None, None), num_pairs=4).p_holm == 1.0
    assert judge_growing([], StopGoal(0.05), num_pairs=1).test.p is None


@pytest.mark.parametrize(
    ("differences", "goal", "expected"),
    [
        (
            NEAR,
            StopGoal(0.05),
            "TET is better than SDT by 1.1 points, decided after 5 seeds: the difference is in [0.7, 1.6], anytime "
            "p=0.031.",
        ),
        (
            [-x for x in NEAR],
            StopGoal(0.05),
            "TET is worse than SDT by 1.1 points, decided after 5 seeds: the difference is in [-1.6, -0.7], anytime "
            "p=0.031.",
        ),
        (
            NEAR,
            StopGoal(0.05, margin=0.02),
            "TET and SDT are equivalent within ±2.0 points, decided after 5 seeds: the difference is in [0.7, 1.6].",
        ),
        (
            [0.01, -0.01] * 3,
            StopGoal(0.05, half_width=0.03),
            "TET against SDT is undecided after 6 seeds: the difference is in [-2.4, 2.4], anytime p=1.00.",
        ),
        ([0.01], StopGoal(0.05), "TET against SDT is undecided: 1 seed cannot decide anything yet."),
    ],
)
def test_each_answer_is_said(differences: list[float], goal: StopGoal, expected: str) -> None:
    pair = judge_growing(differences, goal, num_pairs=1)
    assert growing_sentence("TET", "SDT", pair, POINTS, goal.margin) == expected


def test_arms_that_are_not_comparable_are_said_to_be() -> None:
    pair = JudgedPair(judge_growing(NEAR, StopGoal(0.05), 1).test, None, None, Verdict.NOT_COMPARABLE)
    assert growing_sentence("TET", "SDT", pair, POINTS, None) == "TET and SDT cannot be compared."

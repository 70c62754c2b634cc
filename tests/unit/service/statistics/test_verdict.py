"""Tests of verdicts: their rules, their sentences and their error rates."""

import numpy as np
import pytest

from service.statistics.verdict import Verdict, Wording, judge, sentence

POINTS = Wording(lambda x: f"{100 * x:.1f}", "points", 0.01, "1 point")
CLEAR = [0.01, 0.02, 0.015, 0.012, 0.02, 0.03, 0.01, 0.017]
UNCLEAR = [0.01, -0.02, 0.01]


def said(differences: list[float] | None, margin: float | None = None, *, higher: bool = True) -> str:
    (pair,) = judge([differences], higher_is_better=higher, margin=margin)
    return sentence("TET", "SDT", pair, POINTS, margin, 1)


@pytest.mark.parametrize(
    ("differences", "margin", "expected"),
    [
        (CLEAR, None, "TET is better than SDT by 1.7 points [1.1, 2.2], n=8, p=0.001 or less."),
        ([-x for x in CLEAR], None, "TET is worse than SDT by 1.7 points [1.1, 2.2], n=8, p=0.001 or less."),
        (CLEAR, 0.02, "TET is better than SDT by 1.7 points [1.1, 2.2], n=8, p=0.001 or less."),
        (CLEAR, 0.03, "TET and SDT are equivalent within ±3.0 points [1.1, 2.2], n=8, p=0.001 or less."),
        (
            UNCLEAR,
            None,
            "TET against SDT is undecided: these 3 seeds would have found a difference of 5.7 points or more; 1 point "
            "takes about 26 seeds.",
        ),
        ([0.0] * 6, None, "TET against SDT is undecided: all 6 differences are zero."),
        ([0.0] * 6, 0.01, "TET and SDT are equivalent within ±1.0 points, n=6, p=0.016."),
        ([0.01] * 6, None, "TET is better than SDT by 1.0 points, n=6, p=0.031."),
        (
            [0.01] * 3,
            None,
            "TET against SDT is undecided: all 3 differences are equal, so their spread is unknown; 3 seeds prove no "
            "more than p=0.25.",
        ),
        (
            [0.01],
            None,
            "TET against SDT is undecided: one seed does not show how much results vary from seed to seed; about five "
            "seeds give an answer.",
        ),
        ([], None, "TET against SDT is undecided: no seed has a result of both arms yet."),
        (None, None, "TET and SDT cannot be compared."),
    ],
)
def test_each_verdict_is_said(differences: list[float] | None, margin: float | None, expected: str) -> None:
    assert said(differences, margin) == expected


def test_less_is_better_for_energy_and_time() -> None:
    (pair,) = judge([CLEAR], higher_is_better=False, margin=None)
    assert pair.verdict is Verdict.WORSE


def test_a_pair_is_judged_by_all_pairs_of_the_experiment() -> None:
    near = [0.011, 0.032, 0.008, -0.003, 0.012]  # p = 0.04 alone
    (alone,) = judge([near], higher_is_better=True, margin=None)
    first, second, third = judge([near, UNCLEAR, None], higher_is_better=True, margin=None)
    assert alone.p_holm is not None
    assert first.p_holm == pytest.approx(3 * alone.p_holm)
    assert [alone.verdict, first.verdict] == [
        Verdict.BETTER if alone.p_holm <= 0.05 else Verdict.UNDECIDED,
        Verdict.UNDECIDED,
    ]
    assert (second.verdict, third.verdict) == (Verdict.UNDECIDED, Verdict.NOT_COMPARABLE)


@pytest.mark.parametrize("pairs", [1, 2, 4])
def test_at_most_6_percent_of_null_experiments_have_a_false_verdict(pairs: int) -> None:
    """2,000 experiments of eight seeds whose arms share the baseline's noise, as real pairs do."""
    draws = np.random.default_rng(7)
    false = 0
    for _ in range(2000):
        baseline = draws.normal(0, 0.01, 8)
        arms = draws.normal(0, 0.01, (pairs, 8))
        judged = judge([list(arm - baseline) for arm in arms], higher_is_better=True, margin=None)
        false += any(pair.verdict is not Verdict.UNDECIDED for pair in judged)
    assert false / 2000 <= 0.06
    assert false > 0

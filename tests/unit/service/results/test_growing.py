"""Tests of comparisons while seeds are added: which seeds count, and which are shown apart."""

from collections.abc import Sequence

import pytest

from service.answers.comparisons import ComparisonView
from service.answers.units import Unit
from service.results.comparison import ArmResult, ComparedArm, Comparison, Result, compare_arms
from service.results.growing import GrowingRule, growing_rule
from service.results.notes import notes_of, notes_of_verdicts
from service.results.seeds import SeedState
from service.spec import parse
from service.states import WorkState
from service.statistics.anytime import anytime_p, confidence_interval
from service.statistics.until import stop_goal
from service.statistics.verdict import Verdict
from tests.unit.service.spec.test_spec import spec

# Decided at the sixth of them.
DIFFERENCES = [0.030, 0.020, 0.025, 0.022, -0.01, 0.040, 0.030, 0.028]
NEAR = [0.012, 0.010, 0.011, 0.013, 0.011, 0.012, 0.012, 0.012]


def rule(num_pairs: int = 1, margin: float | None = None) -> GrowingRule:
    return GrowingRule(stop_goal(num_pairs, margin, None), num_pairs)


def arm(name: str, accuracies: Sequence[float | None], weights: str | None = None) -> ComparedArm:
    """Return an arm whose seeds without an accuracy have failed."""
    failed, succeeded = SeedState(WorkState.FAILED), SeedState(WorkState.SUCCEEDED)
    seeds = {seed: failed if each is None else succeeded for seed, each in enumerate(accuracies)}
    return ComparedArm(
        name, seeds, {seed: Result(each, 10.0, weights) for seed, each in enumerate(accuracies) if each is not None}
    )


def compared(differences: list[float], failed: int | None = None) -> Comparison:
    ahead = [None if seed == failed else 0.5 + each for seed, each in enumerate(differences)]
    return compare_arms([arm("SDT", [0.5] * len(differences)), arm("TET", ahead)], "SDT", rule())


def arms_of(comparison: Comparison) -> tuple[ArmResult, ArmResult]:
    sdt, tet = comparison.arms
    return sdt, tet


def notes(comparison: Comparison) -> list[str]:
    view = ComparisonView.model_validate(comparison, from_attributes=True)
    return [*notes_of_verdicts(comparison, Unit.ACCURACY, 1, None, rule()), *notes_of(view)]


def test_a_decided_pair_uses_the_seeds_up_to_its_decision_and_shows_later_ones_apart() -> None:
    comparison = compared([*NEAR, 0.9])
    sdt, tet = arms_of(comparison)
    versus = tet.versus_baseline
    assert versus is not None
    assert (versus.verdict, versus.n, versus.decided_at, versus.missing) == (Verdict.BETTER, 5, 4, ())
    assert versus.difference == pytest.approx(sum(NEAR[:5]) / 5)
    assert versus.p == versus.p_holm == pytest.approx(anytime_p(NEAR[:5]))
    interval = confidence_interval(NEAR[:5], 0.05)
    assert [versus.low, versus.high] == pytest.approx([interval.low, interval.high])
    assert (versus.p_sign_flip, versus.detectable) == (None, None)
    for result in (sdt, tet):
        assert (result.n, result.n_wanted, result.num_stopped) == (5, 5, 0)
        assert [each.seed for each in result.beyond] == [5, 6, 7, 8]
    assert tet.beyond[-1].value == pytest.approx(1.4)
    assert notes(comparison) == [
        "TET is better than SDT by 1.1 points, decided after 5 seeds: the difference is in [0.7, 1.6], anytime "
        "p=0.031.",
        "SDT: seeds 5, 6, 7 and 8 ran ahead of the seed that was next to decide, and are not counted",
        "TET: seeds 5, 6, 7 and 8 ran ahead of the seed that was next to decide, and are not counted",
    ]


def test_later_values_never_change_a_decided_pair() -> None:
    before = arms_of(compared(NEAR[:5]))[1].versus_baseline
    for later in ([-0.9], [0.9, 0.9], [0.0] * 20):
        assert arms_of(compared([*NEAR[:5], *later]))[1].versus_baseline == before


def test_a_failed_seed_blocks_its_pair() -> None:
    sdt, tet = arms_of(compared(NEAR, failed=3))
    versus = tet.versus_baseline
    assert versus is not None
    assert (versus.verdict, versus.n, versus.decided_at) == (Verdict.UNDECIDED, 3, None)
    assert [(each.arm, each.state, each.seeds) for each in versus.missing] == [("TET", WorkState.FAILED, (3,))]
    assert (tet.n, tet.num_failed, [each.seed for each in tet.beyond]) == (3, 1, [4, 5, 6, 7])
    assert [each.seed for each in sdt.beyond] == [3, 4, 5, 6, 7]


def test_undecided_pairs_say_how_far_they_are() -> None:
    assert notes(compared([0.01]))[0] == "TET against SDT is undecided: 1 seed cannot decide anything yet."
    assert notes(compared([0.01, -0.01] * 4))[0] == (
        "TET against SDT is undecided after 8 seeds: the difference is in [-1.6, 1.6], anytime p=1.00."
    )


def test_each_arm_counts_the_seeds_of_its_own_pairs() -> None:
    base, slow = [0.5] * 8, [0.5 + each for each in DIFFERENCES]
    arms = [arm("SDT", base), arm("TET", [0.5 + each for each in NEAR]), arm("TIT", slow)]
    sdt, tet, tit = compare_arms(arms, "SDT", rule(num_pairs=2)).arms
    assert tet.versus_baseline is not None
    assert tit.versus_baseline is not None
    assert (tet.n, tet.versus_baseline.verdict) == (6, Verdict.BETTER)
    assert (tit.n, tit.versus_baseline.verdict) == (8, Verdict.UNDECIDED)
    assert sdt.n == 8
    assert tet.versus_baseline.p is not None
    assert tet.versus_baseline.p_holm == pytest.approx(2 * tet.versus_baseline.p)


def test_arms_that_start_from_different_weights_are_not_comparable() -> None:
    arms = [arm("SDT", [0.5] * 6, weights="aa"), arm("TET", [0.6] * 6, weights="bb")]
    comparison = compare_arms(arms, "SDT", rule())
    versus = comparison.arms[1].versus_baseline
    assert versus is not None
    assert (versus.verdict, versus.n, versus.decided_at, versus.difference) == (Verdict.NOT_COMPARABLE, 1, 0, None)
    assert versus.reason is not None


def test_the_rule_shares_the_level_between_the_pairs_of_the_spec() -> None:
    until = {"at_most": 30, "until": {"half_width": 0.02}}
    growing = growing_rule(parse(spec(seeds=until, margin=0.01)))
    assert growing is not None
    assert growing.num_pairs == 2
    assert growing.goal.alpha == pytest.approx(0.025)
    assert (growing.goal.margin, growing.goal.half_width) == (0.01, 0.02)
    assert growing_rule(parse(spec())) is None

"""The seeds that count in an experiment that adds seeds until its arms are decided.

They follow from the results alone, by the rule with which the driver has decided: results never change, so this is the
decision in the driver's journal. See `service.runner.chains.referee`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.spec import Experiment
from service.statistics.until import (
    SeedOutcome,
    StopGoal,
    decide_arms,
    in_order,
    judge_growing,
    stop_goal,
)
from service.statistics.verdict import JudgedPair, Verdict


@dataclass(frozen=True)
class GrowingRule:
    """What decides a pair, and the number of pairs that share the level."""

    goal: StopGoal
    num_pairs: int


def growing_rule(spec: Experiment) -> GrowingRule | None:
    """Return the rule of an experiment; None if its seeds are a list."""
    if spec.until is None:
        return None
    return GrowingRule(stop_goal(len(spec.pairs), spec.margin, spec.until.half_width), len(spec.pairs))


@dataclass(frozen=True)
class CountedSeeds:
    """The seeds of a pair that count: the first ones, in the order of the spec.

    Attributes:
        num_counted: The number of seeds that both arms have, up to the decision or to the first that one of them lacks.
        num_wanted: The number of seeds that the pair needs: up to the decision, or all.
        is_decided: Whether the pair is decided, so that no later seed changes the answer.
        judged: The pair, judged over the counted seeds; None if the arms are not comparable.
    """

    num_counted: int
    num_wanted: int
    is_decided: bool
    judged: JudgedPair | None


def counted_seeds(
    arm: Sequence[SeedOutcome | None], to: Sequence[SeedOutcome | None], rule: GrowingRule
) -> CountedSeeds:
    """Return the seeds of a pair that count.

    Args:
        arm: The arm's outcome at each seed of the spec; None: it has none.
        to: The same of the other arm.
        rule: What decides the pair.
    """
    both, decision = in_order(arm, to), decide_arms(arm, to, rule.goal)
    num_counted = len(both) if decision is None else decision.n
    num_wanted = len(arm) if decision is None else decision.n
    if decision is not None and decision.verdict is Verdict.NOT_COMPARABLE:
        return CountedSeeds(num_counted, num_wanted, True, None)
    differences = [one.value - other.value for one, other in both[:num_counted]]
    judged = judge_growing(differences, rule.goal, rule.num_pairs)
    return CountedSeeds(num_counted, num_wanted, decision is not None, judged)

"""The comparison as people read it, from the outcomes of chains. It needs no database, so a driver can make it too."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from service.answers.chances import ChanceView
from service.answers.comparisons import ArmResultView, ComparisonView, PairedDifferenceView, ResampledView
from service.answers.rounding import digits_of
from service.answers.units import Unit
from service.chain_outcomes import ChainOutcome
from service.chance import against_chance
from service.events import ClassCounts
from service.resampled_pairs import ResampledPair
from service.results.comparison import ComparedArm, Comparison, Question, compare_arms
from service.results.growing import growing_rule
from service.results.notes import notes_of, notes_of_resampling, notes_of_verdicts
from service.results.quantities import DEFAULT, Quantity
from service.results.seeds import seed_states
from service.results.tried import Tried, best_by_arm, tried_by_arm
from service.spec import Experiment


def answer_of(
    spec: Experiment, chains: Sequence[ChainOutcome], resampled: Iterable[ResampledPair] = ()
) -> ComparisonView:
    """Return the comparison of the test accuracies by the chains that have succeeded so far.

    It is what `GET /experiments/{id}/comparison` answers, except for the paper's numbers and what a search adds.

    Args:
        spec: The experiment's spec.
        chains: The outcomes of all its chains.
        resampled: The pairs that were resampled so far.
    """
    question = Question(margin=spec.margin, pairs=named_pairs(spec))
    rule = growing_rule(spec)
    compared = compare_arms(arms_of(spec, chains, best_by_arm(tried_by_arm(chains))), spec.baseline_arm, rule, question)
    fitting = fitting_pairs(compared, resampled)
    view = with_resampled(view_of(compared, DEFAULT), fitting)
    verdicts = notes_of_verdicts(compared, DEFAULT.unit, digits_in(view), spec.margin, rule)
    notes = [*verdicts, *notes_of(view), *notes_of_resampling(fitting)]
    return view.model_copy(update={"verdicts": verdicts, "notes": notes})


def named_pairs(spec: Experiment) -> tuple[tuple[str, str], ...] | None:
    """Return the pairs that a spec names; None: every arm is compared with the baseline."""
    return None if spec.compare is None else tuple((pair.arm, pair.to) for pair in spec.compare)


def arms_of(spec: Experiment, chains: Iterable[ChainOutcome], best: Mapping[str, Tried]) -> list[ComparedArm]:
    """Return the arms to compare: the results of their configurations, and the states of all seeds."""
    by_arm: dict[str, list[ChainOutcome]] = {}
    for chain in chains:
        by_arm.setdefault(chain.arm, []).append(chain)
    compared = []
    for arm in spec.arms:
        chosen = best.get(arm.name)
        seeds = seed_states(spec.all_seeds, by_arm.get(arm.name, []), None if chosen is None else chosen.number)
        compared.append(ComparedArm(arm.name, seeds, {} if chosen is None else chosen.results))
    return compared


def view_of(compared: Comparison, quantity: Quantity) -> ComparisonView:
    """Return a comparison in the form of the API."""
    view = ComparisonView.model_validate(compared, from_attributes=True)
    about = {"unit": quantity.unit, "higher_is_better": quantity.higher_is_better}
    return view.model_copy(update=about | {"arms": _with_chance(view, compared, quantity)})


def fitting_pairs(compared: Comparison, resampled: Iterable[ResampledPair]) -> list[ResampledPair]:
    """Return the resampled pairs that rest on what the pair's difference rests on, in the comparison's order."""
    known = {(each.arm, each.to): each for each in resampled}
    return [
        found
        for arm, versus in compared.pairs()
        if versus.difference is not None
        and (found := known.get((arm, versus.to))) is not None
        and found.fits([each.seed for each in versus.differences], versus.difference)
    ]


def with_resampled(view: ComparisonView, fitting: Iterable[ResampledPair]) -> ComparisonView:
    """Add to each pair what its resampling has given.

    Args:
        view: The comparison of the test accuracies.
        fitting: What `fitting_pairs` returns.
    """
    results = {
        (each.arm, each.to): ResampledView.model_validate(each.result, from_attributes=True)
        for each in fitting
        if each.result is not None
    }
    arms = [
        arm.model_copy(update={"versus_baseline": _resampled(arm.name, arm.versus_baseline, results)})
        for arm in view.arms
    ]
    further = [
        each.model_copy(update={"versus": _resampled(each.arm, each.versus, results)}) for each in view.further_pairs
    ]
    return view.model_copy(update={"arms": arms, "further_pairs": further})


V = TypeVar("V", PairedDifferenceView, PairedDifferenceView | None)


def _resampled(arm: str, versus: V, results: Mapping[tuple[str, str], ResampledView]) -> V:
    if versus is None:
        return versus
    return versus.model_copy(update={"resampled": results.get((arm, versus.to))})


def digits_in(view: ComparisonView) -> int:
    """Return the number of digits after the point for accuracies and shares."""
    return digits_of(view.arms) if view.unit in (Unit.ACCURACY, Unit.SHARE) else 0


def chance_of(accuracy: float | None, test_set: ClassCounts | None) -> ChanceView | None:
    """Return how an accuracy compares with chance; None if it, or the size of its test set, is not known."""
    return None if accuracy is None or test_set is None else against_chance(accuracy, test_set)


def _with_chance(view: ComparisonView, compared: Comparison, quantity: Quantity) -> list[ArmResultView]:
    """Add to each arm how its mean accuracy compares with chance."""
    if quantity != DEFAULT:  # the best of many epochs is above chance more often
        return view.arms
    return [
        arm.model_copy(update={"chance": chance_of(result.mean, result.test_set)})
        for arm, result in zip(view.arms, compared.arms, strict=True)
    ]

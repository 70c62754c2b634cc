"""The pairs of a comparison that can be resampled over test samples, with the seeds that their differences rest on."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from service.chain_outcomes import ChainOutcome
from service.resampled_pairs import PairToResample, ResampledPair, TrainedStage
from service.results.answering import arms_of, named_pairs
from service.results.comparison import Question, compare_arms
from service.results.growing import growing_rule
from service.results.tried import best_by_arm, chosen_chains, last_train_stage, tried_by_arm
from service.spec import Experiment


def pairs_to_resample(spec: Experiment, chains: Sequence[ChainOutcome]) -> list[PairToResample]:
    """Return the spec's pairs that have a difference of test accuracies so far; in a search, of the chosen chains.

    Args:
        spec: The experiment's spec.
        chains: The outcomes of all its chains.
    """
    best = best_by_arm(tried_by_arm(chains))
    question = Question(margin=spec.margin, pairs=named_pairs(spec))
    compared = compare_arms(arms_of(spec, chains, best), spec.baseline_arm, growing_rule(spec), question)
    stages = {key: _last_stage(chain) for key, chain in chosen_chains(chains, best).items()}
    return [
        PairToResample(
            arm,
            versus.to,
            {each.seed: (stages[arm, each.seed], stages[versus.to, each.seed]) for each in versus.differences},
            fmean(each.value for each in versus.differences),
        )
        for arm, versus in compared.pairs()
        if versus.differences
    ]


def lacking(pairs: Iterable[PairToResample], known: Iterable[ResampledPair]) -> list[PairToResample]:
    """Return the pairs that no known resampled pair fits."""
    by_name = {(each.arm, each.to): each for each in known}
    return [
        pair
        for pair in pairs
        if (found := by_name.get((pair.arm, pair.to))) is None or not found.fits(pair.seeds, pair.difference)
    ]


def _last_stage(chain: ChainOutcome) -> TrainedStage:
    index = last_train_stage(chain)
    assert index is not None, "a chain with a test accuracy has trained"
    return TrainedStage(chain.id, index)

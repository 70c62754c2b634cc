"""The comparison of an experiment's arms by any of its quantities, with the paper's numbers and what a search adds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from service.answers.comparisons import ArmsAtTView, ComparisonView
from service.answers.units import Unit
from service.chain_outcomes import ChainOutcome
from service.curves import BEST_TEST
from service.presets.catalogue import preset_if_known
from service.presets.recipe import differences_from, test_set_differences
from service.resampled_pairs import ResampledPair
from service.results.answering import arms_of, digits_in, fitting_pairs, named_pairs, view_of, with_resampled
from service.results.comparison import ComparedArm, Comparison, Question, compare_arms, compare_at_each_T
from service.results.growing import growing_rule
from service.results.notes import (
    note_of_counted_seeds,
    notes_of,
    notes_of_curves,
    notes_of_resampling,
    notes_of_unpublished,
    notes_of_verdicts,
)
from service.results.quantities import DEFAULT, Quantity, Source, arm_of, quantity_of
from service.results.result_rows import ResultRows
from service.results.searched_arms import front_view, with_choice
from service.results.tried import Tried, best_by_arm, chosen_chains, tried_by_arm
from service.results.values import values_by_T, values_of, with_values
from service.spec import Experiment


@dataclass(frozen=True)
class ComparedExperiment:
    """What a comparison needs to know of an experiment besides its chains.

    Attributes:
        spec: Its spec.
        preset: The name of the preset with which it was posted; None: without one.
        are_curves_filled: Whether the curves of an experiment that an earlier version ran were read from storage.
        are_pairs_filled: Whether the pairs that the driver has not resampled over test samples were.
    """

    spec: Experiment
    preset: str | None = None
    are_curves_filled: bool = True
    are_pairs_filled: bool = True


@dataclass(frozen=True)
class ReadValues:
    """What a comparison is computed from.

    `values` are those of the chains, at each T or at None. `resampled` is empty for a quantity that is not resampled.
    """

    about: ComparedExperiment
    quantity: Quantity
    chains: Sequence[ChainOutcome]
    values: Mapping[int | None, Mapping[str, float]]
    errors: Sequence[tuple[str, int]]
    resampled: Sequence[ResampledPair]


def read_values(rows: ResultRows, about: ComparedExperiment, quantity_name: str = DEFAULT.name) -> ReadValues:
    """Read the chains of an experiment and their values.

    Args:
        rows: The rows to read.
        about: The experiment.
        quantity_name: The quantity that is compared.

    Raises:
        NotFound: The experiment has no such quantity.
    """
    quantity = quantity_of(about.spec, quantity_name)
    chains = rows.outcomes(quantity.name if quantity.source is Source.LAST_EPOCH else None)
    values: dict[int | None, Mapping[str, float]] = {}
    if quantity.has_T:
        values |= values_by_T(rows, quantity)
    elif quantity != DEFAULT:
        values[None] = values_of(rows, chains, quantity)
    resampled = rows.resampled() if quantity == DEFAULT else ()
    return ReadValues(about, quantity, chains, values, rows.curve_errors(), resampled)


def quantity_answer(read: ReadValues, baseline: str | None = None) -> ComparisonView:
    """Compare the arms by the chains that have succeeded; in a search, each arm at its best configuration.

    Args:
        read: What was read.
        baseline: The arm that every other arm is compared with. None: the pairs and the baseline of the spec.

    Raises:
        NotFound: The experiment has no such arm.
    """
    spec, quantity = read.about.spec, read.quantity
    to = spec.baseline_arm if baseline is None else arm_of(spec, baseline)
    question = Question(
        quantity=quantity.name,
        higher_is_better=quantity.higher_is_better,
        margin=spec.margin if quantity.unit is Unit.ACCURACY else None,
        pairs=named_pairs(spec) if baseline is None else None,
    )
    tried = tried_by_arm(read.chains)
    best = best_by_arm(tried)
    arms = arms_of(spec, read.chains, best)
    rule = growing_rule(spec)
    decides = quantity == DEFAULT and baseline is None
    if rule is not None and not decides:  # the test accuracy of the spec's pairs has decided which seeds count
        decided = compare_arms(arms, spec.baseline_arm, rule, Question(pairs=named_pairs(spec)))
        arms = [_only(arm, [each.seed for each in one.values]) for arm, one in zip(arms, decided.arms, strict=True)]
    if quantity.has_T:
        return _view_by_T(read, question, to, arms, _chain_ids(read.chains, best))
    if quantity != DEFAULT:
        arms = with_values(arms, _chain_ids(read.chains, best), read.values[None])
    used = rule if decides else None
    compared = compare_arms(arms, to, used, question)
    fitting = fitting_pairs(compared, read.resampled)
    view = with_resampled(view_of(compared, quantity), fitting)
    if spec.search is not None:
        chosen = [with_choice(arm, best.get(arm.name), tried.get(arm.name, [])) for arm in view.arms]
        front = front_view(spec.search, read.chains, tried) if quantity == DEFAULT else None
        view = view.model_copy(update={"arms": chosen, "front": front})
    verdicts = notes_of_verdicts(compared, quantity.unit, digits_in(view), question.margin, used)
    notes = [
        *verdicts,
        *notes_of(view),
        *_notes_on_data(read, decides=decides),
        *_notes_on_resampling(read, compared, fitting),
    ]
    view = view.model_copy(update={"verdicts": verdicts, "notes": notes})
    if quantity.name in (DEFAULT.name, BEST_TEST):
        return _with_published(view, read.about.preset, spec, compared)
    return view


def _notes_on_data(read: ReadValues, *, decides: bool) -> list[str]:
    """Return the notes on what the numbers rest on.

    Args:
        read: What was read.
        decides: Whether the comparison is the one that decides how many seeds are added.
    """
    growing = read.about.spec.until is not None and not decides
    from_curves = read.quantity.source in (Source.SUMMARY, Source.TIME_SWEEP)
    return [
        *([note_of_counted_seeds()] if growing else []),
        *(notes_of_curves(read.errors, are_filled=read.about.are_curves_filled) if from_curves else []),
    ]


def _notes_on_resampling(read: ReadValues, compared: Comparison, fitting: Sequence[ResampledPair]) -> list[str]:
    """Return why pairs have no intervals over test samples.

    Args:
        read: What was read.
        compared: The comparison.
        fitting: The resampled pairs that fit it.
    """
    if read.quantity != DEFAULT or read.about.are_pairs_filled:
        return notes_of_resampling(fitting)
    wanted = {(pair.arm, pair.to) for pair in read.about.spec.pairs}
    wanted &= {(arm, versus.to) for arm, versus in compared.pairs() if versus.difference is not None}
    return notes_of_resampling(fitting, is_filled=wanted <= {(each.arm, each.to) for each in fitting})


def _view_by_T(
    read: ReadValues, question: Question, to: str, arms: Sequence[ComparedArm], of_chain: Mapping[tuple[str, int], str]
) -> ComparisonView:
    """Compare the arms at each T of their time sweeps."""
    at_T = {T: with_values(arms, of_chain, values) for T, values in read.values.items() if T is not None}
    compared = compare_at_each_T(at_T, to, question)
    views = {T: view_of(each, read.quantity) for T, each in compared.items()}
    by_T = [ArmsAtTView(T=T, arms=view.arms, further_pairs=view.further_pairs) for T, view in views.items()]
    verdicts = [
        f"T={T}: {note}"
        for T, each in compared.items()
        for note in notes_of_verdicts(each, read.quantity.unit, digits_in(views[T]), question.margin)
    ]
    survivors = notes_of(views[max(views)]) if views else []
    return ComparisonView(
        quantity=question.quantity,
        unit=read.quantity.unit,
        higher_is_better=read.quantity.higher_is_better,
        baseline=to,
        arms=[],
        by_T=by_T,
        verdicts=verdicts,
        notes=[*verdicts, *survivors, *_notes_on_data(read, decides=False)],
    )


def _only(arm: ComparedArm, seeds: Iterable[int]) -> ComparedArm:
    """Return an arm with its results at some seeds only."""
    kept = set(seeds)
    return replace(arm, results={seed: each for seed, each in arm.results.items() if seed in kept})


def _chain_ids(chains: Iterable[ChainOutcome], best: Mapping[str, Tried]) -> dict[tuple[str, int], str]:
    """Return the id of the chain that stands for each arm at each seed."""
    return {key: chain.id for key, chain in chosen_chains(chains, best).items()}


def _with_published(view: ComparisonView, name: str | None, spec: Experiment, compared: Comparison) -> ComparisonView:
    """Add the paper's number to each arm whose recipe is the preset's, and notes on the numbers that are left out."""
    preset = preset_if_known(name)
    if preset is None:
        return view
    of_recipe = differences_from(preset, spec)
    num_test = {arm.name: None if arm.test_set is None else arm.test_set.num_samples for arm in compared.arms}
    differences = {
        arm: [*each, *test_set_differences(preset, num_test[arm])]
        for arm, each in of_recipe.items()
        if arm in preset.published
    }
    shown = {arm: preset.published[arm] for arm, each in differences.items() if not each}
    arms = [arm.model_copy(update={"published": shown.get(arm.name)}) for arm in view.arms]
    notes = [*view.notes, *notes_of_unpublished(preset.published, differences)]
    source = preset.source if shown else None
    return view.model_copy(update={"arms": arms, "preset": name, "source": source, "notes": notes})

"""Notes to a comparison: what a reader of the numbers must know. Accuracies are in percent, as in all texts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from service.answers.chances import chance_in_words
from service.answers.comparisons import ArmResultView, ComparisonView
from service.answers.in_units import name_of_difference, name_of_unit, written
from service.answers.rounding import digits_of, paired_means, percent
from service.answers.units import Unit
from service.presets.catalogue import Published
from service.presets.recipe import Difference
from service.resampled_pairs import ResampledPair
from service.results.comparison import Comparison
from service.results.growing import GrowingRule
from service.results.seeds import MissingSeeds, missing_in_words, seeds_in_words
from service.statistics.until import growing_sentence
from service.statistics.verdict import JudgedPair, Wording, sentence

# The largest number of differences from a preset that a note lists. The note counts the others.
MAX_DIFFERENCES = 8
# The largest number of pairs that a note names. The note counts the others.
MAX_PAIRS = 6


def notes_of(view: ComparisonView) -> list[str]:
    """Return the notes, each for one arm: first about lost chains, then about missing pairs, then about chance."""
    digits = digits_of(view.arms) if view.unit in (Unit.ACCURACY, Unit.SHARE) else 0
    return [
        *(note for arm in view.arms for note in _survivors(arm)),
        *(note for arm in view.arms for note in _beyond(arm)),
        *(note for arm in view.arms for note in _pairs(arm, view, digits)),
        *(note for arm in view.arms for note in _chance(arm, digits)),
    ]


def notes_of_verdicts(
    compared: Comparison, unit: Unit, digits: int, margin: float | None, rule: GrowingRule | None = None
) -> list[str]:
    """Return the verdict on each pair of arms.

    Args:
        compared: The compared arms.
        unit: The unit of the quantity.
        digits: The number of digits after the point, for accuracies.
        margin: The largest difference that does not count; None: equivalence was not tested.
        rule: What decides a pair, if seeds are added until then; None: the seeds are fixed.
    """
    pairs = compared.pairs()
    return [
        sentence(name, versus.to, versus.judged, _wording(unit, digits, versus.judged), margin, len(pairs))
        if rule is None
        else growing_sentence(name, versus.to, versus.judged, _wording(unit, digits, versus.judged), rule.goal.margin)
        for name, versus in pairs
        if versus.judged is not None and versus.reason is None
    ]


def _wording(unit: Unit, digits: int, pair: JudgedPair) -> Wording:
    """Return how differences are written, and the difference for which the sentence gives a number of seeds."""
    number, name = lambda difference: written(difference, unit, digits), name_of_difference(unit)
    if unit is Unit.ACCURACY:
        return Wording(number, name, step=0.01, step_name="1 point")
    return Wording(number, name, step=(pair.test.detectable or 0.0) / 2, step_name="half of that")


def note_of_counted_seeds() -> str:
    """Return that the seeds were chosen by what this comparison does not show."""
    return (
        "the seeds are those up to the decision about the test accuracy of the spec's pairs; these intervals and p "
        "values do not take this choice into account"
    )


def notes_of_curves(errors: Sequence[tuple[str, int]], *, are_filled: bool) -> list[str]:
    """Return why values may be missing that follow from curves.

    Args:
        errors: Why stages have no curves, each text with the number of stages.
        are_filled: Whether the curves of an experiment that an earlier version ran were read from storage.
    """
    failed = [
        f"{count} stage(s) have no curves, and no value that follows from them: {error}" for error, count in errors
    ]
    return failed if are_filled else [*failed, "the curves of this experiment are being read from storage; ask again"]


def notes_of_resampling(pairs: Iterable[ResampledPair], *, is_filled: bool = True) -> list[str]:
    """Return why pairs have no intervals over test samples, each reason with its pairs.

    Args:
        pairs: The resampled pairs that fit the comparison.
        is_filled: Whether the missing pairs of an experiment that has ended were looked for in storage.
    """
    by_error: dict[str, list[str]] = {}
    for each in pairs:
        if each.result is None:
            by_error.setdefault(each.error, []).append(f"{each.arm} minus {each.to}")
    failed = [f"no interval over other test samples for {_listed(names)}: {error}" for error, names in by_error.items()]
    soon = "the intervals over other test samples are being computed from storage; ask again"
    return failed if is_filled else [*failed, soon]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_PAIRS:,} more" if len(names) > MAX_PAIRS else ""
    return ", ".join(names[:MAX_PAIRS]) + more


def _survivors(arm: ArmResultView) -> Iterator[str]:
    """Yield a note if chains of an arm were lost, because its numbers are then over the survivors only."""
    counts = ((arm.num_failed, "failed"), (arm.num_cancelled, "cancelled"), (arm.num_stopped, "stopped"))
    lost = ", ".join(f"{count} {word}" for count, word in counts if count)
    if not lost:
        return
    seeds = seeds_in_words([each.seed for each in arm.values]) if arm.n else ""
    over = f"its numbers are over the survivors, {seeds}" if arm.n else "it has no result"
    yield f"{arm.name}: of {arm.n_wanted} seeds, {lost}; {over}"


def _beyond(arm: ArmResultView) -> Iterator[str]:
    """Yield the seeds that have a value and do not count."""
    if arm.beyond:
        seeds = seeds_in_words([each.seed for each in arm.beyond])
        yield f"{arm.name}: {seeds} ran ahead of the seed that was next to decide, and are not counted"


def _pairs(arm: ArmResultView, view: ComparisonView, digits: int) -> Iterator[str]:
    """Yield the seeds of a difference if some seeds are missing, or the reason why there is no difference."""
    versus = arm.versus_baseline
    if versus is None:
        return
    if versus.reason is not None:
        yield f"{arm.name} is not paired with {versus.to}: {versus.reason}"
    elif versus.missing and (means := paired_means(arm, view.arms)) is not None:
        seeds = seeds_in_words([each.seed for each in versus.differences])
        missing = [MissingSeeds(each.arm, each.state, each.failure, tuple(each.seeds)) for each in versus.missing]
        of_arm, of_to = (written(mean, view.unit, digits) for mean in (means.arm, means.baseline))
        yield (
            f"{arm.name} minus {versus.to}: over {seeds} only, where the means are {of_arm} and "
            f"{f'{of_to} {name_of_unit(view.unit)}'.rstrip()}; {missing_in_words(missing)}"
        )


def _chance(arm: ArmResultView, digits: int) -> Iterator[str]:
    if words := chance_in_words(arm.chance):
        yield f"{arm.name}: {percent(arm.mean, digits)} % {words}"


def note_of_unpublished(arm: str, published: Published, differences: Sequence[Difference]) -> str:
    """Return why an arm's published number is not shown: the places at which the experiment differs from the preset."""
    listed = [f"{each.place} is {each.value}, the preset has {each.of_preset}" for each in differences]
    more = f"; and {len(listed) - MAX_DIFFERENCES} more" if len(listed) > MAX_DIFFERENCES else ""
    return f"{arm}: published {percent(published.mean)} not shown: {'; '.join(listed[:MAX_DIFFERENCES])}{more}"


def notes_of_unpublished(
    published: Mapping[str, Published], differences: Mapping[str, Sequence[Difference]]
) -> list[str]:
    """Return the notes about all published numbers that are not shown."""
    return [note_of_unpublished(arm, published[arm], each) for arm, each in differences.items() if each]

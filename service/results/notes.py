"""Notes to a comparison: what a reader of the numbers must know. Accuracies are in percent, as in all texts."""

from collections.abc import Iterator, Mapping, Sequence

from service.answers.chances import chance_in_words
from service.answers.comparisons import ArmResultView, ComparisonView
from service.answers.rounding import digits_of, paired_means, percent
from service.presets.catalogue import Published
from service.presets.recipe import Difference
from service.results.comparison import Comparison
from service.results.growing import GrowingRule
from service.results.seeds import MissingSeeds, missing_in_words, seeds_in_words
from service.statistics.until import growing_sentence
from service.statistics.verdict import Wording, sentence

# The largest number of differences from a preset that a note lists. The note counts the others.
MAX_DIFFERENCES = 8


def notes_of(view: ComparisonView) -> list[str]:
    """Return the notes, each for one arm: first about lost chains, then about missing pairs, then about chance."""
    digits = digits_of(view.arms, view.baseline)
    baseline = next(arm for arm in view.arms if arm.name == view.baseline)
    return [
        *(note for arm in view.arms for note in _survivors(arm)),
        *(note for arm in view.arms for note in _beyond(arm)),
        *(note for arm in view.arms for note in _pairs(arm, baseline, digits)),
        *(note for arm in view.arms for note in _chance(arm, digits)),
    ]


def notes_of_verdicts(compared: Comparison, digits: int, rule: GrowingRule | None = None) -> list[str]:
    """Return the verdict on each arm that is paired with the baseline, with so many digits after the point.

    Args:
        compared: The compared arms.
        digits: The number of digits after the point.
        rule: What decides a pair, if seeds are added until then; None: the seeds are fixed.
    """
    points = Wording(lambda difference: percent(difference, digits), "points", step=0.01, step_name="1 point")
    pairs = [(arm.name, arm.versus_baseline) for arm in compared.arms if arm.versus_baseline is not None]
    return [
        sentence(name, versus.to, versus.judged, points, None, len(pairs))
        if rule is None
        else growing_sentence(name, versus.to, versus.judged, points, rule.goal.margin)
        for name, versus in pairs
        if versus.judged is not None and versus.reason is None
    ]


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


def _pairs(arm: ArmResultView, baseline: ArmResultView, digits: int) -> Iterator[str]:
    """Yield the seeds of a difference if some seeds are missing, or the reason why there is no difference."""
    versus = arm.versus_baseline
    if versus is None:
        return
    if versus.reason is not None:
        yield f"{arm.name} is not paired with {versus.to}: {versus.reason}"
    elif versus.missing and (means := paired_means(arm, baseline)) is not None:
        seeds = seeds_in_words([each.seed for each in versus.differences])
        missing = [MissingSeeds(each.arm, each.state, each.failure, tuple(each.seeds)) for each in versus.missing]
        yield (
            f"{arm.name} minus {versus.to}: over {seeds} only, where the means are {percent(means.arm, digits)} and "
            f"{percent(means.baseline, digits)} %; {missing_in_words(missing)}"
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

"""What other test samples would change, in words: each interval with the question that it answers."""

from service.answers.comparisons import BoundsView, ComparisonView, PairedDifferenceView, ResampledView
from service.answers.in_units import name_of_difference, written
from service.answers.rounding import digits_of
from service.statistics.anytime import Interval
from service.statistics.resampling import ResampledDifference, explained
from service.statistics.verdict import Wording


def resampled_in_words(compared: ComparisonView) -> list[str]:
    """Return a text for each pair that was resampled over test samples.

    Args:
        compared: A comparison of accuracies.
    """
    digits = digits_of(compared.arms)
    wording = Wording(
        number=lambda difference: written(difference, compared.unit, digits),
        unit=name_of_difference(compared.unit),
        step=0.01,
        step_name="1 point",
    )
    return [
        " ".join(explained(arm, versus.to, _result(versus, versus.resampled), wording))
        for arm, versus in compared.pairs()
        if versus.resampled is not None
    ]


def _result(versus: PairedDifferenceView, resampled: ResampledView) -> ResampledDifference:
    return ResampledDifference(
        versus.n,
        resampled.num_samples,
        versus.difference,
        _interval(resampled.other_samples),
        _interval(resampled.other_seeds_and_samples),
        std_of_test_set=resampled.std_of_test_set,
        share_of_test_set=resampled.share_of_test_set,
    )


def _interval(bounds: BoundsView) -> Interval:
    return Interval(bounds.low, bounds.high)

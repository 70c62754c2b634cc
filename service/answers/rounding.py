"""Rounding of means and their differences, so that a table of them does not contradict itself.

A mean of 19.304 % and a baseline of 19.296 % are both 19.30 with two digits. A difference of +0.01 would contradict
these numbers, and a difference of +0.00 would say that the means are equal. So a table has as many digits as its
differences need, and the difference that it shows is that of the two means as it shows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean

from service.answers.comparisons import ArmResultView

# Digits after the point of a percentage. With three, a shown difference is within 0.001 points of the exact one.
MIN_DIGITS, COMMON_DIGITS, MAX_DIGITS = 2, 3, 12
# A smaller difference comes from rounding in the arithmetic: the smallest real one is 1 / (test samples * seeds).
EXACT_ZERO = 1e-12


@dataclass(frozen=True)
class PairedMeans:
    """The means of an arm and of the one that it is compared with, over the seeds that both have; fractions."""

    arm: float
    baseline: float
    difference: float
    low: float | None = None
    high: float | None = None

    @property
    def is_zero(self) -> bool:
        """Whether the two means are equal."""
        return abs(self.difference) < EXACT_ZERO

    def shown_difference(self, digits: int) -> Decimal:
        """Return the difference of the two means as they are shown, in percentage points."""
        return in_percent(self.arm, digits) - in_percent(self.baseline, digits)

    def shown_interval(self, digits: int) -> tuple[Decimal, Decimal] | None:
        """Return the interval in percentage points; None if there is none. It contains the shown difference.

        The shown difference may differ from the exact one in its last digit. If the interval is too narrow to contain
        it, it is widened.
        """
        if self.low is None or self.high is None:
            return None
        shown = self.shown_difference(digits)
        return min(in_percent(self.low, digits), shown), max(in_percent(self.high, digits), shown)

    def is_visible(self, digits: int) -> bool:
        """Return whether the shown difference is 0 if, and only if, the exact difference is 0."""
        return (self.shown_difference(digits) == 0) is self.is_zero

    def is_exact(self, digits: int) -> bool:
        """Return whether the shown difference is visible and equals the exact one, rounded."""
        return self.is_visible(digits) and self.shown_difference(digits) == in_percent(self.difference, digits)


def paired_means(arm: ArmResultView, arms: Sequence[ArmResultView]) -> PairedMeans | None:
    """Return the means of an arm and of the one that it is compared with, over the seeds of their differences.

    Args:
        arm: The arm.
        arms: All arms of the comparison.

    Returns:
        The means; None if the arm is not paired.
    """
    versus = arm.versus_baseline
    if versus is None or versus.difference is None:
        return None
    to = next(other for other in arms if other.name == versus.to)
    seeds = {each.seed for each in versus.differences}
    of_arm, of_baseline = ([each.value for each in one.values if each.seed in seeds] for one in (arm, to))
    return PairedMeans(fmean(of_arm), fmean(of_baseline), versus.difference, versus.low, versus.high)


def digits_for(pairs: Sequence[PairedMeans]) -> int:
    """Return the number of digits after the point for percentages in a table that has all of these pairs."""
    for digits in range(MIN_DIGITS, COMMON_DIGITS + 1):
        if all(pair.is_exact(digits) for pair in pairs):
            return digits
    enough = (digits for digits in range(COMMON_DIGITS, MAX_DIGITS) if all(pair.is_visible(digits) for pair in pairs))
    return next(enough, MAX_DIGITS)


def digits_of(arms: Sequence[ArmResultView]) -> int:
    """Return the number of digits after the point for percentages in the comparison of these arms."""
    pairs = (paired_means(arm, arms) for arm in arms)
    return digits_for([pair for pair in pairs if pair is not None])


def in_percent(fraction: float, digits: int) -> Decimal:
    """Return a fraction in percent, rounded to digits after the point; never a negative zero."""
    return Decimal(f"{100 * fraction:.{digits}f}") + 0


def percent(fraction: float | None, digits: int = MIN_DIGITS) -> str:
    """Return a fraction in percent, as text; "-" if there is none."""
    return "-" if fraction is None else f"{in_percent(fraction, digits):f}"


def points(difference: Decimal) -> str:
    """Return a difference in percentage points, signed, as text; a difference of zero has no sign."""
    return f"{difference:+f}" if difference else f"{difference:f}"

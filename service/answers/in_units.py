"""How values and differences are written in each unit."""

from typing import assert_never

from service.answers.rounding import MIN_DIGITS, percent
from service.answers.units import Unit


def written(value: float | None, unit: Unit, digits: int = MIN_DIGITS) -> str:
    """Return a value for people, without its unit; "-" if there is none. `digits` is for accuracies and shares."""
    if value is None:
        return "-"
    match unit:
        case Unit.ACCURACY | Unit.SHARE:
            return percent(value, digits)
        case Unit.SECONDS:
            return f"{value:.1f}"
        case Unit.JOULES:
            return f"{1e6 * value:.4g}"
        case Unit.LOSS | Unit.MICROJOULES | Unit.COUNT:
            return f"{value:.4g}"
        case _:
            assert_never(unit)


def name_of_unit(unit: Unit) -> str:
    """Return the unit in which people read a value; empty if it has none."""
    match unit:
        case Unit.ACCURACY | Unit.SHARE:
            return "%"
        case Unit.SECONDS:
            return "s"
        case Unit.JOULES | Unit.MICROJOULES:
            return "µJ"
        case Unit.LOSS | Unit.COUNT:
            return ""
        case _:
            assert_never(unit)


def name_of_difference(unit: Unit) -> str:
    """Return the unit in which people read a difference of two values; empty if it has none."""
    return "points" if unit in (Unit.ACCURACY, Unit.SHARE) else name_of_unit(unit)

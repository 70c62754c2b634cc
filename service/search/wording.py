"""The values of a configuration in words for people."""

from collections.abc import Mapping
from typing import Any


def in_few_digits(values: Mapping[str, Any]) -> list[str]:
    """Return each place with its value: `optimizer.lr=0.004733`."""
    return [
        f"{place}={value:.4g}" if isinstance(value, float) else f"{place}={value}" for place, value in values.items()
    ]


def integers_instead(kind: str, low: int, high: int) -> str:
    """Return what to write for an integer from `low` to `high`, instead of a `range` or a `log_range`."""
    doubled = [low * 2**power for power in range(8) if low * 2**power <= high] if low > 0 else [low, high]
    return (
        f"takes integers, and a {kind} gives real numbers: write int_range: [{low}, {high}], which is evenly "
        f"distributed, or a choice, such as choice: [{', '.join(map(str, doubled))}]"
    )

"""The values of a configuration in words for people."""

from collections.abc import Mapping
from typing import Any


def in_few_digits(values: Mapping[str, Any]) -> list[str]:
    """Return each place with its value: `optimizer.lr=0.004733`."""
    return [
        f"{place}={value:.4g}" if isinstance(value, float) else f"{place}={value}" for place, value in values.items()
    ]

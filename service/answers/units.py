"""The units of compared quantities."""

from enum import StrEnum


class Unit(StrEnum):
    """The unit of a quantity in the API."""

    ACCURACY = "accuracy"  # a fraction; people read percent, and differences in percentage points
    SHARE = "share"  # a fraction that is no accuracy, such as a firing rate; people read percent
    LOSS = "loss"
    SECONDS = "s"
    JOULES = "J"  # people read µJ
    MICROJOULES = "µJ"
    COUNT = "count"

"""The classes and names of a union of configs, which tests compare with their own lists."""

from typing import Any, get_args


def members(union: Any) -> tuple[type[Any], ...]:
    """Return the classes of a union whose discriminator is a name."""
    classes: tuple[type[Any], ...] = get_args(get_args(union)[0])
    return classes


def names(union: Any, key: str = "name") -> list[str]:
    """Return the names by which a spec chooses the classes of a union."""
    return [name for member in members(union) for name in get_args(member.model_fields[key].annotation)]

"""The classes and names of a union of configs, with which tests compare their lists."""

from typing import Any, get_args


def members(union: Any) -> tuple[type[Any], ...]:
    """Return the classes of a union whose discriminator is a name."""
    classes: tuple[type[Any], ...] = get_args(get_args(union)[0])
    return classes


def names(union: Any, key: str = "name") -> list[str]:
    """Return the names of a union's classes in a spec."""
    return [name for member in members(union) for name in get_args(member.model_fields[key].annotation)]

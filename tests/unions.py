"""The classes and names that a union of configs accepts: lists in tests are compared with them."""

from typing import Any, get_args


def members(union: Any) -> tuple[type[Any], ...]:
    """Return the classes of a union that a name tells apart."""
    found: tuple[type[Any], ...] = get_args(get_args(union)[0])
    return found


def names(union: Any, key: str = "name") -> list[str]:
    """Return the names by which a spec asks for them."""
    return [name for member in members(union) for name in get_args(member.model_fields[key].annotation)]

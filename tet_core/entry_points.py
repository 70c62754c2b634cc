"""What others install beside this package: their models and data sets, found by name among Python's entry points."""

from importlib.metadata import entry_points
from typing import Any


def load(group: str, name: str) -> Any:
    """Load the object that an installed package offers under a name.

    Args:
        group: `tet.models` or `tet.datasets`.
        name: The entry point's name.

    Raises:
        ValueError: If no installed package offers it, or several do, or it cannot be imported; says what there is.
    """
    offered = entry_points(group=group)
    found = list({point.value: point for point in offered if point.name == name}.values())
    if not found:
        names = ", ".join(sorted({point.name for point in offered})) or "none"
        raise ValueError(f"entry_point is {name!r}; installed here under {group!r}: {names}")
    if len(found) > 1:
        values = ", ".join(sorted(point.value for point in found))
        raise ValueError(f"entry_point is {name!r}; several packages offer it under {group!r}: {values}")
    try:
        return found[0].load()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"entry_point {name!r} ({found[0].value}) cannot be loaded: {error}") from error

"""Models and data sets of other packages, found by name among Python's entry points."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from tet_core.errors import ConfigError, errors_of_entry_point


def call_entry_point(group: str, name: str, options: Mapping[str, Any], **arguments: Any) -> Any:
    """Call the function that an installed package offers under a name, and return its result.

    Args:
        group: `tet.models` or `tet.datasets`.
        name: The entry point's name.
        options: The user's options, passed as keyword arguments.
        **arguments: The arguments that this package sets, passed as keyword arguments too.

    Returns:
        The object that the function returns; the caller checks its type.

    Raises:
        ConfigError: If no installed package offers the name, several packages do, the function cannot be imported, or
            the function does not take these options.
        EntryPointError: If the function raises an error, or importing it does.
    """
    function = _find(group, name)
    _check_options(name, function, options, arguments)
    with errors_of_entry_point(name):
        return function(**arguments, **options)


def offers(group: str, name: str) -> bool:
    """Return whether an installed package offers a name; nothing is imported."""
    return any(point.name == name for point in entry_points(group=group))


def offered_names(group: str, name: str) -> str:
    """Return the names that installed packages offer, for people, and the one that is most like `name`."""
    names = sorted({point.name for point in entry_points(group=group)})
    near = difflib.get_close_matches(name, names, n=1)
    return (", ".join(names) or "none") + (f"; did you mean {near[0]!r}?" if near else "")


def _find(group: str, name: str) -> Callable[..., Any]:
    offered = entry_points(group=group)
    matches = list({point.value: point for point in offered if point.name == name}.values())
    if not matches:
        raise ConfigError("entry_point", name, f"installed here under {group!r}: {offered_names(group, name)}")
    if len(matches) > 1:
        values = ", ".join(sorted(point.value for point in matches))
        raise ConfigError("entry_point", name, f"several packages offer this name under {group!r}: {values}")
    with errors_of_entry_point(name):
        try:
            function: Callable[..., Any] = matches[0].load()
        except (ImportError, AttributeError) as error:
            raise ConfigError("entry_point", name, f"{matches[0].value} cannot be loaded: {error}") from error
    return function


def _check_options(
    name: str, function: Callable[..., Any], options: Mapping[str, Any], arguments: Mapping[str, Any]
) -> None:
    """Refuse options that the function does not take: the call's TypeError would look like a fault of the author."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function that is not written in Python may have no signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    refused = sorted(key for key in options if key not in parameters or key in arguments)
    if refused:
        raise ConfigError("options", dict(options), f"entry_point {name!r} does not take {', '.join(refused)}")

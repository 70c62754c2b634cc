"""Models and data sets of other packages, found by name among Python's entry points."""

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from tet_core.errors import ConfigError, errors_of_entry_point


def call_entry_point(group: str, name: str, options: Mapping[str, Any], **arguments: Any) -> Any:
    """Call the function that an installed package offers under a name, and return what it returns.

    Args:
        group: `tet.models` or `tet.datasets`.
        name: The entry point's name.
        options: What the user asked for, passed as keyword arguments.
        **arguments: What this package passes besides, as keyword arguments too.

    Raises:
        ConfigError: If no installed package offers it, several do, it cannot be imported, or it does not take these
            options.
        EntryPointError: If its code fails.
    """
    function = _find(group, name)
    _check_options(name, function, options, arguments)
    with errors_of_entry_point(name):
        return function(**arguments, **options)


def _find(group: str, name: str) -> Callable[..., Any]:
    offered = entry_points(group=group)
    found = list({point.value: point for point in offered if point.name == name}.values())
    if not found:
        names = ", ".join(sorted({point.name for point in offered})) or "none"
        raise ConfigError("entry_point", name, f"installed here under {group!r}: {names}")
    if len(found) > 1:
        values = ", ".join(sorted(point.value for point in found))
        raise ConfigError("entry_point", name, f"several packages offer it under {group!r}: {values}")
    with errors_of_entry_point(name):
        try:
            function: Callable[..., Any] = found[0].load()
        except (ImportError, AttributeError) as error:
            raise ConfigError("entry_point", name, f"{found[0].value} cannot be loaded: {error}") from error
    return function


def _check_options(
    name: str, function: Callable[..., Any], options: Mapping[str, Any], arguments: Mapping[str, Any]
) -> None:
    """Refuse options that the function does not take: calling it would raise a TypeError as of its author."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function that is not written in Python may have no signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    refused = sorted(key for key in options if key not in parameters or key in arguments)
    if refused:
        raise ConfigError("options", dict(options), f"entry_point {name!r} does not take {', '.join(refused)}")

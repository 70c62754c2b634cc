"""Checks that a posted spec has to pass, and a stored one does not, because older versions accepted more.

Drivers, forks and comparisons read stored specs again. So only the request that posts a spec makes these checks.
"""

from collections.abc import Iterator, Mapping

from service.errors import FieldError
from service.spec.raw import Path
from service.text import hidden_in
from service.web_address import web_address

# The only text that may have several lines.
DESCRIPTION: Path = ("description",)


def posted_faults(raw: object) -> list[FieldError]:
    """Return the faults of a posted spec, or of posted changes to one, that a stored spec may have."""
    return [*_hidden_characters(raw), *_webhook(raw)]


def _hidden_characters(raw: object) -> Iterator[FieldError]:
    for path, text in _texts(raw):
        if text.isascii() and text.isprintable():
            continue
        if (problem := hidden_in(text, multiline=path == DESCRIPTION)) is not None:
            yield FieldError.at(path, text, problem)


def _texts(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text of a document, keys too, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield (*path, key), key
                yield from _texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _webhook(raw: object) -> Iterator[FieldError]:
    block = raw.get("webhook") if isinstance(raw, Mapping) else None
    url = block.get("url") if isinstance(block, Mapping) else None
    if not isinstance(url, str) or hidden_in(url) is not None:  # pydantic or the check above reports it
        return
    try:
        web_address(url)
    except ValueError as error:
        yield FieldError.at(("webhook", "url"), url, str(error))

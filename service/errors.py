"""The errors that the service raises on purpose, in one tree.

    TetError
    ├── DocumentInvalid     a body or a file is not well-formed JSON or YAML
    ├── SpecInvalid         well-formed, but not a spec that can be run; it lists the faults
    ├── NotFound            no such experiment, chain, stage or preset
    ├── Conflict            the request does not fit the state of the experiment or the key
    ├── Overloaded          the service has too much to do now: the same request may succeed a little later
    └── TooCostly           a document within the limit of size that takes too long, or too much memory, to check

Anything else that reaches a user is a bug.
"""

# ruff: noqa: N818 - the names say what is wrong, so they need no suffix `Error`.

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.text import json_printable, printable

# Largest number of characters of a wrong value that an error shows.
MAX_VALUE_LENGTH = 80


class TetError(Exception):
    """The base of the service's own errors; users may see their text."""


class DocumentInvalid(TetError, ValueError):
    """The error of a document that is not well-formed; `line` and `column` count from 1, and are None if unknown."""

    def __init__(self, detail: str, *, line: int | None = None, column: int | None = None) -> None:
        self.detail = detail
        self.line = line
        self.column = column
        place = "" if line is None else f" (line {line}, column {column})"
        super().__init__(detail + place)


@dataclass(frozen=True)
class FieldError:
    """One fault of a spec.

    Attributes:
        field: The place as a person writes it, such as `arms[0].stages[0].T`; `$` is the whole document.
        pointer: The same place as a JSON pointer (RFC 6901), such as `/arms/0/stages/0/T`.
        value: The value there, cut to 80 characters; None if there was none.
        detail: What is wrong with it and what is accepted.
    """

    field: str
    pointer: str
    value: str | int | float | bool | None
    detail: str

    @classmethod
    def at(cls, path: Iterable[str | int], value: Any, detail: str) -> "FieldError":
        """Make the error of the value at `path`, a sequence of keys and indices from the root."""
        parts = tuple(path)
        return cls(_dotted(parts), _pointer(parts), shown(value), printable(detail))

    def __str__(self) -> str:
        return f"{self.field}: {self.detail} (got {json.dumps(self.value, ensure_ascii=False)})"


class SpecInvalid(TetError, ValueError):
    """The error of a spec with faults; `errors` holds them up to a limit, `total` counts all of them."""

    def __init__(self, errors: Iterable[FieldError], *, total: int | None = None) -> None:
        self.errors = tuple(errors)
        self.total = len(self.errors) if total is None else total
        super().__init__("\n".join(map(str, self.errors)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how another process makes this error again: by default, Python calls the class with the message."""
        return _spec_invalid, (self.errors, self.total)


class NotFound(TetError, LookupError):
    """The error of a request for something that does not exist."""


class Conflict(TetError):
    """The error of a request that does not fit the state of the experiment or the key."""


class Overloaded(TetError):
    """The error of a request that the service refuses because it has too much to do; nothing was done.

    Attributes:
        retry_after_s: Seconds after which the client may try again.
    """

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(detail)


class TooCostly(TetError):
    """The error of a document that is small enough to send, but takes too long or too much memory to check."""


def _spec_invalid(errors: tuple[FieldError, ...], total: int) -> SpecInvalid:
    return SpecInvalid(errors, total=total)


def shown(value: Any) -> str | int | float | bool | None:
    """Return `value` in a form that is short and safe enough for an error: a scalar, or text cut to 80 characters."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _cut(printable(value if isinstance(value, str) else _as_text(value)))


def _as_text(value: Any) -> str:
    if isinstance(value, int):
        # str() raises ValueError for an int of more than 4,300 digits.
        return f"an integer of {value.bit_length()} bits" if value.bit_length() > 256 else str(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return f"a value of type {type(value).__name__}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 1] + "…"


def _dotted(parts: tuple[str | int, ...]) -> str:
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() and part == printable(part):
            text += f".{part}" if text else part
        else:
            text += f"[{json_printable(json.dumps(_cut(part), ensure_ascii=False))}]"
    return text or "$"


def _pointer(parts: tuple[str | int, ...]) -> str:
    return "".join("/" + printable(str(part)).replace("~", "~0").replace("/", "~1") for part in parts)

"""A reader for JSON (RFC 8259) that may be hostile."""

import json
from typing import Any

from service.errors import DocumentInvalid, shown

# Maximum depth of a document, so that later code can walk it recursively. A spec nests 8 levels deep.
MAX_DEPTH = 64


def load_json(text: str) -> object:
    """Read one JSON document into plain data.

    `NaN` and `Infinity` are not valid JSON, but are read as floats. The check of a spec refuses them with their field.

    Raises:
        DocumentInvalid: The text is not well-formed, names a key twice, nests deeper than 64 levels or holds an integer
            of thousands of digits.
    """
    too_deep = f"must nest at most {MAX_DEPTH} levels deep"
    try:
        data = json.loads(text, object_pairs_hook=_mapping)
    except json.JSONDecodeError as error:
        detail = f"not well-formed JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise DocumentInvalid(detail, line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise DocumentInvalid(too_deep) from None
    except DocumentInvalid:
        raise
    except ValueError:  # Python converts no more than 4,300 digits
        raise DocumentInvalid("holds an integer of thousands of digits") from None
    if _is_deeper(data, MAX_DEPTH):
        raise DocumentInvalid(too_deep)
    return data


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise DocumentInvalid(f"names the key {shown(doubled)!r} twice in one object; each key may come once")
    return mapping


def _is_deeper(data: object, limit: int) -> bool:
    level = [data]
    for _ in range(limit):
        level = [item for value in level for item in _children(value)]
        if not level:
            return False
    return any(isinstance(value, dict | list) for value in level)


def _children(value: object) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()

"""A reader for YAML 1.2 documents, which may be hostile.

ruamel.yaml splits the text into events. This module builds plain data from them without recursion, and checks every
limit before it uses memory. Scalars follow the core schema of YAML 1.2.2 (section 10.3.2): `1e-3` is a number, and
`no`, `on` and `2026-01-01` are text. Merge keys (`<<`) belong to YAML 1.1. Here they are keys like any other.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from service.documents.json import MAX_DEPTH
from service.errors import DocumentInvalid, shown

# Maximum length of a text. The parser is pure Python and reads about 200 kB a second.
MAX_CHARACTERS = 262_144
# Maximum number of values in a document, with every alias expanded. A spec has far fewer.
MAX_NODES = 250_000

_CORE_SCHEMA: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"null|Null|NULL|~|"), lambda text: None),
    (re.compile(r"true|True|TRUE"), lambda text: True),
    (re.compile(r"false|False|FALSE"), lambda text: False),
    (re.compile(r"[-+]?[0-9]+"), int),
    (re.compile(r"0o[0-7]+"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text[2:], 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda text: float("nan")),
)

_HIGH = re.compile("[\ud800-\udbff]")


def load_yaml(text: str) -> object:
    """Read one YAML document into plain data; return None for an empty document.

    Raises:
        DocumentInvalid: The text is not well-formed, holds more than one document, a tag, a key twice, a key that is
            not text, an alias within its own value, or more than the limits allow. The error has line and column,
            except for a text that is too long.
    """
    if len(text) > MAX_CHARACTERS:
        raise DocumentInvalid(f"a YAML document must have at most {MAX_CHARACTERS:,} characters; JSON may have more")
    try:
        return _Builder().build(YAML(typ="safe", pure=True).parse(text))
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        detail = f"not well-formed YAML: the character {shown(chr(error.character))!r} is not allowed"
        raise DocumentInvalid(detail, line=line, column=column) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(part for part in (error.context, error.problem) if part)
        _refuse(f"not well-formed YAML: {words}", mark)
    except YAMLError as error:
        raise DocumentInvalid(f"not well-formed YAML: {shown(str(error))}") from None


@dataclass
class _Node:
    """A value, with the number of values in it and its depth; both count the value itself."""

    value: Any
    size: int = 1
    height: int = 1


@dataclass
class _Open:
    """A mapping or sequence that is not complete yet, and the key that waits for its value."""

    node: _Node
    anchor: str | None
    mark: StringMark
    key: str | None = None


class _Builder:
    """A builder of plain data from the events of one document."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._anchors: dict[str, _Node] = {}
        self._num_nodes = 0
        self._root: _Node | None = None
        self._started = False

    def build(self, events: Iterator[Event]) -> object:
        for event in events:
            if isinstance(event, DocumentStartEvent):
                self._start(event)
            elif isinstance(event, CollectionEndEvent):
                self._close()
            elif isinstance(event, NodeEvent):
                self._take(event)
        return None if self._root is None else self._root.value

    def _start(self, event: DocumentStartEvent) -> None:
        if self._started:
            _refuse("must hold one document, not several", event.start_mark)
        if event.version is not None and tuple(event.version) != (1, 2):
            _refuse(f"must be YAML 1.2, not {'.'.join(map(str, event.version))}", event.start_mark)
        self._started = True

    def _take(self, event: NodeEvent) -> None:
        if (tag := getattr(event, "tag", None)) is not None:
            _refuse(f"must hold no tags; remove {shown(str(tag))!r}", event.start_mark)
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            node = _Node({} if isinstance(event, MappingStartEvent) else [])
            self._count(node, event.start_mark)
            self._open.append(_Open(node, event.anchor, event.start_mark))
            self._anchors.pop(event.anchor, None)
        elif isinstance(event, AliasEvent):
            node = self._aliased(event)
            self._count(node, event.start_mark)
            self._place(node, event.start_mark)
        elif isinstance(event, ScalarEvent):
            node = _Node(_scalar(event))
            self._count(node, event.start_mark)
            self._name(event.anchor, node)
            self._place(node, event.start_mark)

    def _count(self, node: _Node, mark: StringMark) -> None:
        self._num_nodes += node.size
        if self._num_nodes > MAX_NODES:
            _refuse(f"must hold at most {MAX_NODES:,} values, aliases expanded", mark)
        if len(self._open) + node.height > MAX_DEPTH:
            _refuse(f"must nest at most {MAX_DEPTH} levels deep", mark)

    def _aliased(self, event: AliasEvent) -> _Node:
        if any(opened.anchor == event.anchor for opened in self._open):
            _refuse(
                f"the alias {shown(event.anchor)!r} must not be within the value that it stands for", event.start_mark
            )
        if event.anchor not in self._anchors:
            _refuse(f"there is no anchor {shown(event.anchor)!r} before this alias", event.start_mark)
        return self._anchors[event.anchor]

    def _close(self) -> None:
        closed = self._open.pop()
        self._name(closed.anchor, closed.node)
        self._place(closed.node, closed.mark)

    def _name(self, anchor: str | None, node: _Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _place(self, node: _Node, mark: StringMark) -> None:
        """Put a finished value into the innermost open one, as its key, value or item."""
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.node.size += node.size
        parent.node.height = max(parent.node.height, node.height + 1)
        if isinstance(parent.node.value, list):
            parent.node.value.append(node.value)
        elif parent.key is None:
            parent.key = _key(parent.node.value, node.value, mark)
        else:
            parent.node.value[parent.key], parent.key = node.value, None


def _key(mapping: dict[str, Any], key: object, mark: StringMark) -> str:
    if not isinstance(key, str):
        _refuse(f"a key must be text: put {shown(key)!r} in quotes", mark)
    if key in mapping:
        _refuse(f"the key {shown(key)!r} comes twice in one mapping; each key may come once", mark)
    return key


def _scalar(event: ScalarEvent) -> Any:
    if not event.implicit[0]:  # it is quoted, or a block
        return _paired(event.value)
    for pattern, convert in _CORE_SCHEMA:
        if pattern.fullmatch(event.value):
            try:
                return convert(event.value)
            except ValueError:  # Python converts no more than 4,300 digits
                _refuse("holds an integer of thousands of digits", event.start_mark)
    return event.value


def _paired(text: str) -> str:
    r"""Join the two halves of a character that JSON writers write as two escapes, such as "\ud83d\ude00"."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if _HIGH.search(text) else text


def _refuse(detail: str, mark: StringMark | None) -> NoReturn:
    if mark is None:
        raise DocumentInvalid(detail) from None
    raise DocumentInvalid(detail, line=mark.line + 1, column=mark.column + 1) from None

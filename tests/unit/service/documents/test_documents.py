"""Tests of the readers for JSON and YAML."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.documents import read_document
from service.documents.json import load_json
from service.documents.yaml import MAX_CHARACTERS, load_yaml
from service.errors import DocumentInvalid

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("+3", 3),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("-.inf", -math.inf),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("0b1", "0b1"),
        ("'4'", "4"),
        ('"null"', "null"),
        ("[1, [2]]", [1, [2]]),
        (r'"\ud83d\ude00"', "😀"),
        ("{<<: 1}", {"<<": 1}),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("é", "é"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    assert load_yaml(text) == value


def test_nan_is_read_as_a_float() -> None:
    value = load_yaml(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_an_alias_stands_for_the_value_of_the_last_anchor_before_it() -> None:
    assert load_yaml("a: &x {T: 4}\nb: *x\nc: [*x, &x 3, *x]") == {"a": {"T": 4}, "b": {"T": 4}, "c": [{"T": 4}, 3, 3]}


@pytest.mark.parametrize(
    ("text", "detail", "line", "column"),
    [
        ("a: 1\nb: 2\na: 3", "the key 'a' comes twice", 3, 1),
        ("a: 1\n---\nb: 2", "must hold one document", 2, 1),
        ("a: !!python/object:os.system x", "must hold no tags", 1, 4),
        ("a: !!int '3'", "must hold no tags", 1, 4),
        ("a: &x\n  b: *x", "must not be within the value that it stands for", 2, 6),
        ("a: *x", "no anchor 'x'", 1, 4),
        ("1: x", "a key must be text: put 1 in quotes", 1, 1),
        ("? [a]\n: x", "a key must be text", 1, 3),
        ("a: [1,", "not well-formed YAML: .*expected the node content", 1, 7),
        ("a: 'b\nc: 2", "not well-formed YAML: .*unexpected end of stream", 2, 5),
        ("a: 1\nb: \x01", "is not allowed", 2, 4),
        ("a: \ud800", "is not allowed", 1, 4),
        ("%YAML 1.1\n---\na: no", "must be YAML 1.2, not 1.1", 2, 1),
        ("[" * 100_000, "at most 64 levels", 1, 65),
        ("- " * 100_000, "at most 64 levels", 1, 129),
        (BOMB, "at most 250,000 values, aliases expanded", 6, 16),
        ("a: " + "9" * 5_000, "thousands of digits", 1, 4),
    ],
)
def test_the_refusal_of_yaml_has_line_and_column(text: str, detail: str, line: int, column: int) -> None:
    with pytest.raises(DocumentInvalid, match=detail) as caught:
        load_yaml(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_the_limit_of_depth_counts_the_levels_of_aliases() -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 100))
    with pytest.raises(DocumentInvalid, match="at most 64 levels"):
        load_yaml(chain)


def test_a_yaml_document_that_is_too_long_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="at most 262,144 characters"):
        load_yaml("#" * (MAX_CHARACTERS + 1))


@pytest.mark.parametrize(
    ("text", "detail", "line"),
    [
        ('{"a": 1,\n}', "not well-formed JSON: ", 2),
        ("", "not well-formed JSON: expecting value", 1),
        ('{"a": 1} {', "extra data", 1),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' twice", None),
        ("[" * 100_000, "at most 64 levels", None),
        ('{"a":' * 100_000, "at most 64 levels", None),
        ("[" * 65 + "]" * 65, "at most 64 levels", None),
        ("9" * 5_000, "thousands of digits", None),
    ],
)
def test_the_refusal_of_json_has_the_line_if_it_is_known(text: str, detail: str, line: int | None) -> None:
    with pytest.raises(DocumentInvalid, match=detail) as caught:
        load_json(text)
    assert caught.value.line == line


def test_json_may_nest_as_deep_as_the_limit() -> None:
    assert load_json("[" * 64 + "]" * 64)


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(DocumentInvalid, match="byte 2 is not"):
        read_document(b'{"\xff": 1}', "application/json")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    # In YAML, a key on one line may have at most 1,024 characters. The escape of one character takes up to 12.
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text(max_size=80), items, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_json_is_also_yaml(data: Any) -> None:
    # json.dumps escapes control characters: YAML does not accept them unescaped.
    text = json.dumps(data)
    assert load_yaml(text) == load_json(text) == data


@given(st.text())
def test_any_text_is_read_or_refused_without_another_error(text: str) -> None:
    for loader in (load_yaml, load_json):
        try:
            loader(text)
        except DocumentInvalid as error:
            str(error).encode()

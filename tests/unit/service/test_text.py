"""Tests of the characters that text may hold, and of how others are shown."""

import json
import re
import unicodedata

import pytest

from service.text import LINE_PATTERN, hidden_in, json_printable, named, printable, printable_line, without_hidden


def every_character(*categories: str) -> list[str]:
    return [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in categories]


def test_every_control_character_surrogate_and_line_separator_is_refused() -> None:
    assert [named(each) for each in every_character("Cc", "Cs", "Zl", "Zp") if hidden_in(f"a{each}") is None] == []


def test_of_the_format_characters_only_visible_signs_are_accepted() -> None:
    accepted = {ord(each) for each in every_character("Cf") if hidden_in(f"a{each}") is None}
    arabic = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    hieroglyphs = set(range(0x13430, 0x13460))
    assert accepted - hieroglyphs == arabic


@pytest.mark.parametrize("code", [0xFDD0, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF, 0x2065, 0xE0041, 0x180F, 0x115F, 0x3164])
def test_noncharacters_and_invisible_characters_are_refused(code: int) -> None:
    assert f"character 2 is U+{code:04X}" in (hidden_in(f"a{chr(code)}b") or "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ab\u202ec", "character 3 is U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("\x1b[31mred\x1b[0m", "character 1 is U+001B (ESCAPE), and 1 more"),
        ("a\0", "character 2 is U+0000 (NUL)"),
        ("a\x9bb", "character 2 is U+009B (a control character)"),
        ("a\ud800", "character 2 is U+D800 (half of a surrogate pair)"),
        ("a\u200bb", "character 2 is U+200B (ZERO WIDTH SPACE)"),
        ("👩\u200d👧", "character 2 is U+200D (ZERO WIDTH JOINER)"),
        ("a\nb", "character 2 is U+000A (LINE FEED)"),
        ("a\ufe0f", "character 2 is U+FE0F (VARIATION SELECTOR-16)"),
        ("\ufe0f", "character 1 is U+FE0F (VARIATION SELECTOR-16)"),
    ],
)
def test_a_refusal_names_the_character_and_its_place(text: str, problem: str) -> None:
    assert hidden_in(text) == f"must hold no control, bidirectional or invisible characters; {problem}"
    with pytest.raises(ValueError, match=re.escape(problem)):
        without_hidden(text)


def test_a_description_may_have_lines_and_tabs_but_no_carriage_returns() -> None:
    assert hidden_in("a\n\tb", multiline=True) is None
    problem = "except line feeds and tabs; character 5 is U+000D (CARRIAGE RETURN)"
    assert (hidden_in("a\n\tb\r", multiline=True) or "").endswith(problem)


@pytest.mark.parametrize(
    "text",
    ["", "Größe β = 0,5 – “ja”", "日本語 テスト", "שלום عربي", "❤\ufe0f 🚀 👍🏽 🇩🇪", "a\xa0b\u3000c", "é e\u0301"],
)
def test_what_people_write_is_accepted(text: str) -> None:
    assert hidden_in(text) is None
    assert without_hidden(text) == text


def test_text_is_printed_with_escapes_and_its_lines_stay() -> None:
    shown = r"a\x1b[2J\x9b\u202eb\x0d" + "\n\tc" + r"\U000e0041\ud800é"
    assert printable("a\x1b[2J\x9b\u202eb\r\n\tc\U000e0041\ud800é") == shown


def test_a_line_that_is_printed_stays_one_line() -> None:
    assert printable_line("a\nb\t\x1b") == r"a\x0ab\x09\x1b"


def test_json_that_is_printed_has_the_same_meaning() -> None:
    value = {"a\u202e": "\x1b\x9b\U000e0041 é\n"}
    document = json_printable(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(document) == value
    assert hidden_in(document, multiline=True) is None


def test_the_pattern_of_the_apis_description_refuses_the_same_characters() -> None:
    for code in (*range(0x300), *range(0x2000, 0x2100), 0xFE00, 0xFEFF, 0xFFFE, 0xE0041, 0x1F680):
        assert (re.search(LINE_PATTERN, f"a{chr(code)}b") is None) == (hidden_in(f"a{chr(code)}b") is not None), code

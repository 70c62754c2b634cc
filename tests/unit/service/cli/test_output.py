"""Tests of how the command line prints text that comes from elsewhere."""

import io
import json

import pytest
from rich.table import Table
from rich.text import Text

from service.cli.output import LogPrinter, SafeConsole, log_text, print_json

EVIL = "a\x1b]0;title\x9b2J\u202eb"
SHOWN = r"a\x1b]0;title\x9b2J\u202eb"


def console(**options: object) -> SafeConsole:
    return SafeConsole(file=io.StringIO(), width=100, highlight=False, emoji=False, **options)  # type: ignore[arg-type]


def printed(target: SafeConsole) -> str:
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue()


def test_hidden_characters_of_strings_texts_and_tables_are_escaped() -> None:
    target = console(color_system=None)
    table = Table("name", "n")
    table.add_row(EVIL, "1")
    table.add_row(Text(EVIL), "2")
    for each in (EVIL, Text(EVIL), table):
        target.print(each, markup=False)
    assert printed(target).count(SHOWN) == 4
    assert printed(target).replace("\n", "").isprintable()


def test_a_column_is_as_wide_as_what_it_shows() -> None:
    target, table = console(color_system=None), Table("name", "n")
    table.add_row("\u202e" * 5, "1")
    table.add_row("x", "2")
    target.print(table)
    lines = [line for line in printed(target).splitlines() if line.rstrip(" │").endswith(("1", "2"))]
    assert len({len(line) for line in lines}) == 1
    assert r"\u202e" * 5 in lines[0]


def test_colours_of_the_command_line_stay_and_names_give_no_emoji() -> None:
    target = console(force_terminal=True, color_system="standard")
    target.print("[red]:bomb:[/]")
    assert printed(target) == "\x1b[31m:bomb:\x1b[0m\n"


def test_json_is_printed_with_escapes_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": EVIL})
    text = capsys.readouterr().out
    assert json.loads(text) == {"name": EVIL}
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m\x1b[K\n", "red\n"),
        ("10 %\r20 %\r\nend\n", "10 %\n20 %\nend\n"),
        ("\x1b[2J\x1b]0;t\x07", r"\x1b[2J\x1b]0;t\x07"),
        ("tab\there\n", "tab\there\n"),
    ],
)
def test_a_log_has_no_colours_and_each_state_of_a_progress_bar_has_a_line(text: str, shown: str) -> None:
    assert log_text(text) == shown


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_log_that_comes_in_parts_is_printed_like_a_whole_one(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    text = "é\x1b[31m日\x1b[0m\r\n\x1b[2J❤\r".encode() + b"\xff\xc3"
    printer = LogPrinter()
    for start in range(0, len(text), size):
        printer.print(text[start : start + size])
    printer.print(b"", last=True)
    assert capsys.readouterr().out == "é日\n\\x1b[2J❤\n\ufffd\ufffd"

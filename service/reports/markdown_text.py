"""A report in Markdown: its words and its tables."""

import json
import re
from collections.abc import Iterator

from service.answers.reports import ReportView
from service.reports.text_tables import TextTable, background_tables, result_tables
from service.text import printable_line

# Every character that means something to Markdown anywhere, or starts HTML.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$^=:@-])")
# Characters of a spec that are shown; a longer one is left to the JSON.
MAX_SPEC = 100_000


def markdown(report: ReportView) -> str:
    """Return the report in Markdown."""
    return "\n".join(_lines(report)) + "\n"


def escape(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", printable_line(text))


def _lines(report: ReportView) -> Iterator[str]:
    yield f"# {escape(report.name)}"
    if report.description:
        yield f"\n{escape(report.description)}"
    yield f"\n## Question\n\n{escape(report.question)}"
    yield "\n## Answer\n"
    yield from (f"- {escape(verdict)}" for verdict in report.verdicts or ["There is no verdict yet."])
    yield "\n## Results"
    for table in result_tables(report):
        yield from _table(table)
    notes = report.comparison.notes[len(report.comparison.verdicts) :]
    if notes:
        yield "\n### Notes\n"
        yield from (f"- {escape(note)}" for note in notes)
    yield "\n## What the results rest on"
    for table in background_tables(report):
        yield from _table(table)
    yield "\n## Repeat it\n"
    yield f"Save the spec as `experiment.json`, and run `{report.command}` with version {escape(report.version)}.\n"
    spec = json.dumps(report.spec, indent=2)
    yield f"SHA\\-256 of the spec: `{report.spec_sha256}`\n"
    if len(spec) <= MAX_SPEC:
        yield _fenced(spec)


def _table(table: TextTable) -> Iterator[str]:
    yield f"\n### {escape(table.title)}\n"
    yield _row(table.columns)
    yield "|" + "|".join(":--" if place in table.words else "--:" for place in range(len(table.columns))) + "|"
    yield from map(_row, table.rows)
    if table.note:
        yield f"\n{escape(table.note)}"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(map(escape, cells)) + " |"


def _fenced(text: str) -> str:
    """Return a block of code, with a fence that is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}json\n{text}\n{fence}"

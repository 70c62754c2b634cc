"""Every value of a report as CSV, one a line, as statistics programs read it."""

import csv
import io
from collections.abc import Iterator, Sequence

from service.answers.comparisons import ArmResultView, ComparisonView
from service.answers.reports import ReportView
from service.text import printable_line

COLUMNS = ("quantity", "unit", "T", "arm", "seed", "value")
# A spreadsheet takes a cell that begins with one of these for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def values_csv(report: ReportView) -> str:
    """Return the values of all quantities at each seed: accuracies are fractions, as in the API."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for compared in (report.comparison, *report.further):
        writer.writerows(_rows(compared, compared.arms, ""))
        for at in compared.by_T:
            writer.writerows(_rows(compared, at.arms, str(at.T)))
    return text.getvalue()


def _rows(compared: ComparisonView, arms: Sequence[ArmResultView], T: str) -> Iterator[tuple[str | int | float, ...]]:
    for arm in arms:
        for each in arm.values:
            yield (compared.quantity, compared.unit.value, T, cell(arm.name), each.seed, each.value)


def cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with an apostrophe in front where it would."""
    text = printable_line(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text

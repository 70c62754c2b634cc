"""Tests of the report as Markdown, CSV and LaTeX, with hostile names, and of its tables."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.answers.comparisons import BoundsView, ResampledView
from service.reports import latex_tables, markdown_text
from service.reports.long_csv import COLUMNS, cell, values_csv
from service.reports.text_tables import (
    MAX_ROWS,
    TextTable,
    arms_table,
    background_tables,
    pairs_table,
    resampled_table,
    result_tables,
)
from tests.unit.service.reports.made_up_report import arm, made_up_report

HOSTILE = r"\input{/etc/passwd} $x$ & # % _ ^ ~ {a} é ß 中 🙂 → − <>|`'\"--[b]"


def test_the_tables_of_the_results_have_the_numbers_and_their_units() -> None:
    arms, pairs, resampled, quantities, sweep, flatness = result_tables(made_up_report())
    assert arms.rows[0] == ("SDT (baseline)", "3", "91.00 ± 1.00", "[89.00, 93.00]", "12.5")
    assert pairs.title == "Paired differences in points"
    assert pairs.rows == (
        ("TET minus SDT", "3", "+3.00", "[+0.52, +5.48]", "0.035", "≤ 0.001", "0.25", "3.00", "3.01", "better"),
    )
    assert resampled.title == "The same differences on other test samples, in points"
    assert resampled.rows == (("TET minus SDT", "10,000", "[+2.50, +3.50]", "[−0.10, +6.10]", "25%"),)
    assert (quantities.columns, quantities.rows[1]) == (("arm", "training time, s"), ("TET", "0.9 ± 0.0"))
    assert (sweep.columns, sweep.rows[1][1]) == (("arm", "T=2", "T=4"), "93.00 ± 1.00")
    assert flatness.rows == (("SDT", "0.125 (n=3)"), ("TET", "–"))


def test_arms_and_pairs_without_numbers_have_dashes() -> None:
    report = made_up_report()
    lost = arm("TET", ()).model_copy(update={"versus_baseline": None})
    assert arms_table(report.comparison.model_copy(update={"arms": [lost]})).rows == (("TET", "0 of 3", "–", "–", "–"),)
    versus = report.comparison.arms[1].versus_baseline
    assert versus is not None
    nothing = dict.fromkeys(("difference", "low", "high", "d_z", "p", "p_holm", "p_sign_flip", "detectable"))
    unpaired = versus.model_copy(update={**nothing, "n": 0, "verdict": "not_comparable", "reason": "other weights"})
    arms = [report.comparison.arms[0], report.comparison.arms[1].model_copy(update={"versus_baseline": unpaired})]
    (row,) = pairs_table(report.comparison.model_copy(update={"arms": arms}), is_growing=False).rows
    assert row == ("TET minus SDT", "0", *["–"] * 7, "not comparable: other weights")


def test_pairs_that_were_not_resampled_are_left_out_and_single_seeds_have_dashes() -> None:
    report = made_up_report()
    first, second = report.comparison.arms
    versus = second.versus_baseline
    assert versus is not None
    assert versus.resampled is not None

    def rows(resampled: ResampledView | None) -> tuple[tuple[str, ...], ...]:
        changed = second.model_copy(update={"versus_baseline": versus.model_copy(update={"resampled": resampled})})
        return resampled_table(report.comparison.model_copy(update={"arms": [first, changed]})).rows

    assert rows(None) == ()
    unknown = {"other_seeds_and_samples": BoundsView(low=None, high=None), "share_of_test_set": None}
    (row,) = rows(versus.resampled.model_copy(update=unknown))
    assert row == ("TET minus SDT", "10,000", "[+2.50, +3.50]", "–", "–")


def test_the_note_on_the_tests_follows_from_how_seeds_were_chosen() -> None:
    fixed, growing = (
        result_tables(made_up_report(spec={"seeds": seeds}))[1].note for seeds in ([0, 1], {"first": 0, "at_most": 30})
    )
    assert "Holm" in fixed
    assert "anytime" not in fixed
    assert "the anytime p" in growing


def test_the_tables_of_the_background_name_deviations_failures_environment_and_weights() -> None:
    by_name = {table.name: table for table in background_tables(made_up_report())}
    assert by_name["deviations"].rows == (("TET", "batch_size", "32", "64"),)
    assert by_name["failures"].rows == (("data", "user", "2", "SDT | failed <b>", "repair it (ab)"),)
    assert by_name["environment"].columns == ("fact", "6 stages")
    assert by_name["weights"].rows == (("SDT", "0", "c0", "12" * 6, "34" * 6), ("TET", "0", "c1", "–", "–"))


def test_a_long_table_is_cut_and_says_so_and_its_text_is_printable() -> None:
    table = TextTable("x", "x", ("a",), tuple((f"{number}\x1b\n",) for number in range(MAX_ROWS + 3))).cut()
    assert (len(table.rows), table.rows[0]) == (MAX_ROWS, ("0\\x1b\\x0a",))
    assert table.note == "3 more rows are left out; the CSV has all values."


def test_the_csv_has_every_value_and_no_formula() -> None:
    rows = list(csv.reader(io.StringIO(values_csv(made_up_report("=cmd()|' /C calc'!A0", 'a,"b"')))))
    assert rows[0] == list(COLUMNS)
    assert rows[1] == ["test/accuracy", "accuracy", "", "'=cmd()|' /C calc'!A0", "0", "0.9"]
    assert rows[4][3] == 'a,"b"'
    assert len(rows) == 1 + 6 + 5 + 2 * 5
    assert rows[-1] == ["time_sweep/accuracy", "accuracy", "4", 'a,"b"', "1", "0.94"]
    for text in ("=1", "+1", "-1", "@x", "  =1", "\t=1"):
        assert cell(text).startswith("'") or cell(text)[0] == "\\"


def test_markdown_shows_hostile_names_as_they_are() -> None:
    text = markdown_text.markdown(made_up_report("a|b", "<script>x</script> [y](z) *b* `c`"))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for line in rows:
        assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5, 6, 7, 11), line
    outside = text.partition("```")[0]
    assert "<script" not in outside.replace("\\<script", "")
    assert "\\[y\\]\\(z\\) \\*b\\* \\`c\\`" in outside
    # The spec holds three backticks, so its fence has four.
    assert text.rstrip().endswith("\n````")


def test_latex_escapes_every_character_that_means_something() -> None:
    escaped = latex_tables.escape(HOSTILE)
    assert escaped.startswith(r"\textbackslash{}input\{/etc/passwd\} \$x\$ \& \# \% \_ \textasciicircum{}")
    assert r"\'{e} \ss{} [U+4E2D] [U+1F642] \ensuremath{\rightarrow}" in escaped
    assert latex_tables.escape("αµ\x07Ωñ") == r"\ensuremath{\alpha}\ensuremath{\mu}[U+0007][U+03A9]\~{n}"
    assert escaped.isascii()


def test_a_table_that_is_wider_than_a_page_is_split() -> None:
    report = made_up_report()
    at = report.further[1].by_T[0]
    by_T = [at.model_copy(update={"T": T}) for T in range(1, 9)]
    further = [report.further[1].model_copy(update={"by_T": by_T})]
    text = latex_tables.latex(made_up_report(further=further, flatness=[]))
    assert re.findall(r"label\{tab:(sweep[^}]*)\}", text) == ["sweep-1", "sweep-2"]
    assert re.findall(r"T=\d", text) == [f"T={T}" for T in range(1, 9)]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.slow
def test_the_tables_compile_without_a_box_that_is_too_wide(tmp_path: Path) -> None:
    tables = [latex_tables.latex(made_up_report(*names)) for names in (("SDT", "TET"), (HOSTILE, "-[x]" * 19))]
    (tmp_path / "one.tex").write_text(tables[0], encoding="utf-8")
    (tmp_path / "two.tex").write_text(tables[1], encoding="utf-8")
    document = "\\documentclass{article}\n\\begin{document}\n\\input{one}\n\\clearpage\n\\input{two}\n\\end{document}\n"
    (tmp_path / "all.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "root:" not in log
    assert "Overfull" not in log.partition("two.tex")[0]

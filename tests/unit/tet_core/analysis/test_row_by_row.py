"""Tests of running an analysis, and of its result files."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.unit.tet_core.analysis.training_once import trained
from tet_core import analyse, write_results
from tet_core import checkpoint as checkpoints
from tet_core.analysis.result_files import table_csv, table_json
from tet_core.config import Analysis, Energy, Landscape, TimeSweep

ANALYSES: list[Analysis] = [
    TimeSweep(T=(1, 2)),
    Landscape(size=3, num_samples=20),
    Energy(num_samples=20),
    Energy(T=(1, 3), num_samples=20),
]


def test_an_analysis_needs_only_a_checkpoint_file(tmp_path: Path) -> None:
    checkpoints.save_checkpoint(trained(), tmp_path / "last.pt")
    rows = analyse(tmp_path / "last.pt", TimeSweep(T=(2,)))
    assert rows.start.initial_sha256 == checkpoints.weights_sha256(trained())
    assert rows.start.dataset["name"] == "digits"
    assert next(rows).metrics["row_time_s"] > 0


@pytest.mark.parametrize("done", [-1, 3])
def test_leaving_out_more_rows_than_there_are_is_refused(done: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"done is {done}; the time_sweep has 2 rows, so it must be")):
        analyse(trained(), TimeSweep(T=(1, 2)), done=done)


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: analysis.kind)
def test_an_analysis_has_as_many_rows_as_it_says_and_writes_table_and_plot(analysis: Analysis, tmp_path: Path) -> None:
    rows = list(analyse(trained(), analysis))
    assert [row.number for row in rows] == list(range(1, analysis.num_rows() + 1))
    assert all(key.startswith(f"{analysis.kind}/") or key == "row_time_s" for row in rows for key in row.metrics)
    records = [record for row in rows for record in row.records]
    write_results(tmp_path, analysis, records)
    table = json.loads((tmp_path / "table.json").read_bytes())
    assert [dict(zip(table["columns"], line, strict=True)) for line in table["data"]] == records
    with (tmp_path / "table.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == len(records)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_numbers_of_a_table_are_read_back_to_the_last_digit() -> None:
    value = 0.1 + 0.2
    (line,) = csv.DictReader(io.StringIO(table_csv([{"loss": value, "none": None}]).decode()))
    assert (float(line["loss"]), line["none"]) == (value, "")
    assert json.loads(table_json([{"loss": value}]))["data"] == [[value]]

"""The result files of an analysis: its table as JSON and as CSV, and a plot."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from tet_core.analysis.plots import plot
from tet_core.analysis.subject import Record
from tet_core.config import PLOT, TABLE, TABLE_CSV, Analysis
from tet_core.files import write_atomic


def table_json(records: Sequence[Record]) -> bytes:
    """Return the table as `{"columns": [...], "data": [[...], ...]}`, the layout that pandas calls "split"."""
    columns = list(records[0])
    data = [[record[column] for column in columns] for record in records]
    return json.dumps({"columns": columns, "data": data}, allow_nan=False).encode()


def table_csv(records: Sequence[Record]) -> bytes:
    """Return the table as comma-separated values with a header; numbers are written to the last digit."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def write_results(folder: Path, analysis: Analysis, records: Sequence[Record]) -> None:
    """Write `table.json`, `table.csv` and `plot.png`.

    Args:
        folder: The folder to write into, which must exist.
        analysis: The analysis.
        records: The table's lines of all rows, in order.
    """
    write_atomic(folder / TABLE, table_json(records))
    write_atomic(folder / TABLE_CSV, table_csv(records))
    write_atomic(folder / PLOT, plot(analysis, records))

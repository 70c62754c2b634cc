"""Analyses of a trained network: its accuracy at other numbers of time steps, its loss landscape, its energy."""

from tet_core.analysis.result_files import write_results as write_results
from tet_core.analysis.row_by_row import Rows as Rows
from tet_core.analysis.row_by_row import analyse as analyse
from tet_core.analysis.subject import Record as Record
from tet_core.analysis.subject import Row as Row

"""Analyses of a trained network: other numbers of time steps, the loss landscape, the energy."""

from tet_core.analysis.result_files import write_results as write_results
from tet_core.analysis.row_by_row import Rows as Rows
from tet_core.analysis.row_by_row import analyse as analyse
from tet_core.analysis.subject import Record as Record
from tet_core.analysis.subject import Row as Row

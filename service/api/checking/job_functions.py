"""The functions that the API gives to the processes that check documents."""

from collections.abc import Callable
from typing import Any

from service.api.checking.meaning import read_spec, resolved_spec
from service.documents import read_document
from service.plan import planned
from service.search.configurations import infeasible

# The processes import these, with all that they use, before their first job.
JOBS: tuple[Callable[..., Any], ...] = (read_document, read_spec, resolved_spec, planned, infeasible)

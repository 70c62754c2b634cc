"""The page of an experiment in MLflow: a saved view with the arms as curves, and a description with their table.

Neither is a result: a failure to compute or to store them is logged, and the runs are shipped all the same.
"""

import logging
from collections.abc import Mapping

from mlflow.exceptions import MlflowException
from requests import RequestException

from service.mlflow_page import page_of
from service.runner.chains.ledger import Ledger
from service.runner.shipping.arms_table import arm_rows, as_markdown
from service.runner.shipping.mlflow_runs import NOTE_TAG, MlflowRuns
from service.runner.shipping.refusals import is_refusal
from service.runner.shipping.saved_view import VIEW, VIEW_TAG, view_tag

log = logging.getLogger(__name__)

# The heading of our part of the description. What stands before it is the author's, and is kept.
HEADING = "## Arms (kept up to date by the service)"
# The longest value of an experiment's tag that MLflow accepts, in characters.
MAX_EXPERIMENT_TAG = 20_000


class DescribedExperiment:
    """Keeps an experiment's page in MLflow up to date.

    Args:
        ledger: The committed state of all stages.
        runs: The experiment's runs in MLflow.
        links: Further addresses for the description, by their text.
    """

    def __init__(self, ledger: Ledger, runs: MlflowRuns, links: Mapping[str, str]) -> None:
        self._ledger, self._runs, self._links = ledger, runs, links
        self._view: str | None = None
        self._has_shipped_view = False
        self._num_described = -1

    def forget(self) -> None:
        """Store view and description again, because MLflow may have lost them."""
        self._has_shipped_view, self._num_described = False, -1

    def ship_view(self) -> str | None:
        """Store the view, once; return its key, or None if MLflow refuses it.

        Raises:
            MlflowException, RequestException: MLflow did not answer.
        """
        if not self._has_shipped_view:
            is_stored = self._store(VIEW_TAG, view_tag(self._runs.experiment_created_ms()))
            self._view, self._has_shipped_view = VIEW if is_stored else None, True
        return self._view

    def describe(self, num_ended: int) -> None:
        """Write the description again if the number of ended chains has changed.

        Raises:
            MlflowException, RequestException: MLflow did not answer.
        """
        if num_ended == self._num_described:
            return
        try:
            ours = self._description()
        except Exception:  # nothing depends on the description
            log.exception("the description in MLflow cannot be computed; the runs are shipped without it")
        else:
            before = self._runs.experiment_tag(NOTE_TAG).partition(HEADING)[0].rstrip()
            text = "\n\n".join([*([before] if before else []), ours])
            self._store(NOTE_TAG, text if len(text) <= MAX_EXPERIMENT_TAG else ours[:MAX_EXPERIMENT_TAG])
        self._num_described = num_ended

    def _description(self) -> str:
        page = page_of(self._runs.mlflow_experiment(), self._view).removeprefix("/")
        links = {"Curves by arm": page, **self._links}
        in_a_line = " · ".join(f"[{text}]({address})" for text, address in links.items())
        return f"{HEADING}\n\n{as_markdown(arm_rows(self._ledger))}\n\n{in_a_line}"

    def _store(self, key: str, value: str) -> bool:
        """Set a tag of the experiment; return whether MLflow has accepted it."""
        try:
            self._runs.set_experiment_tag(key, value)
        except (MlflowException, RequestException) as error:
            if not is_refusal(error):
                raise
            log.warning("MLflow refuses the tag %s of the experiment: %s", key, " ".join(str(error).split())[:300])
            return False
        return True

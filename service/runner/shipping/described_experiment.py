"""The page of an experiment in MLflow: saved views with its curves, a description with the answer, and its files.

All of it follows from the ledger. None of it is a result: a failure to compute or to store it is logged, and the runs
are shipped all the same.
"""

import logging
from collections.abc import Mapping

from mlflow.exceptions import MlflowException
from requests import RequestException

from service.answers.comparisons import ComparisonView
from service.mlflow_page import file_page, page_of, run_page
from service.results.answering import answer_of
from service.runner.chains.ledger import Ledger
from service.runner.chains.outcomes_so_far import outcomes_so_far
from service.runner.chains.resampler import Resampler
from service.runner.shipping.arms_table import arm_rows
from service.runner.shipping.comparison_files import comparison_files
from service.runner.shipping.final_files import REPORT
from service.runner.shipping.mlflow_runs import NOTE_TAG, MlflowRuns
from service.runner.shipping.note_text import our_part, with_our_part
from service.runner.shipping.refusals import is_refusal
from service.runner.shipping.results_note import running_tags
from service.runner.shipping.saved_view import STAGES_VIEW, VIEW, view_tags
from service.runner.sparing import Sparing
from service.spec import Experiment

log = logging.getLogger(__name__)

# The shortest time, in s, from one version of the page to the next, unless no more trials run.
INTERVAL_S = 5.0


class DescribedExperiment:
    """Keeps an experiment's page in MLflow up to date.

    Args:
        spec: The experiment's spec.
        ledger: The committed state of all stages.
        resampler: The pairs of arms that were resampled so far.
        runs: The experiment's runs in MLflow.
        links: Further addresses for the description, by their text.
    """

    def __init__(
        self, spec: Experiment, ledger: Ledger, resampler: Resampler, runs: MlflowRuns, links: Mapping[str, str]
    ) -> None:
        self._spec, self._ledger, self._resampler = spec, ledger, resampler
        self._runs, self._links = runs, links
        self._view: str | None = None
        self._has_shipped_view, self._has_report, self._has_noted_run = False, False, False
        self._sparing = Sparing(INTERVAL_S)
        # What the page was last written for (see `describe`), and the files that were uploaded, by run and name.
        self._described: tuple[int, bool] | None = None
        self._uploaded: dict[tuple[str, str], bytes] = {}

    def forget(self) -> None:
        """Store everything again, because MLflow may have lost it."""
        self._has_shipped_view, self._has_noted_run = False, False
        self._described, self._uploaded = None, {}

    def ship_view(self) -> str | None:
        """Store the views, once; return the key of the first, or None if MLflow refuses one.

        Raises:
            MlflowException, RequestException: MLflow did not answer.
        """
        if not self._has_shipped_view:
            try:
                self._store_views()
                self._view = VIEW
            except (MlflowException, RequestException) as error:
                _log_refusal(error)
                self._view = None
            self._has_shipped_view = True
        return self._view

    def _store_views(self) -> None:
        views = view_tags(self._runs.experiment_created_ms(), has_validation=self._spec.validation > 0)
        for key, value in views.items():
            if not self._runs.experiment_tag(key):  # a view that people have changed stays
                self._runs.set_experiment_tag(key, value)

    def describe(self, num_ended: int, *, is_last: bool) -> None:
        """Write the description and the files again if a chain, or the experiment, has ended since the last time.

        Args:
            num_ended: How many chains have ended.
            is_last: Whether no more trials run.

        Raises:
            MlflowException, RequestException: MLflow did not answer.
        """
        if (num_ended, is_last) == self._described or not (is_last or self._sparing.is_due()):
            return
        try:
            answer = answer_of(self._spec, outcomes_so_far(self._ledger), self._resampler.known)
            self._write(answer, num_ended, is_last=is_last)
        except (MlflowException, RequestException) as error:
            _log_refusal(error)
        except Exception:  # nothing depends on the page
            log.exception("the page of the experiment in MLflow cannot be computed; the runs are shipped without it")
        self._described = num_ended, is_last
        self._sparing.done()

    def name_report(self) -> None:
        """Name the report in the description: it is in the run "results" now.

        Raises:
            MlflowException, RequestException: MLflow did not answer.
        """
        num_ended = 0 if self._described is None else self._described[0]
        self._has_report, self._described = True, None
        self.describe(num_ended, is_last=True)

    def _write(self, answer: ComparisonView, num_ended: int, *, is_last: bool) -> None:
        experiment = self._runs.mlflow_experiment()
        pages = {"Curves by arm": page_of(experiment, self._view)}
        if self._view is not None:
            pages["Curves by stage"] = page_of(experiment, STAGES_VIEW)
        if num_ended or self._has_report:
            run_id = self._write_files(answer, is_last=is_last)
            if self._has_report:
                pages = {"Report": file_page(experiment, run_id, REPORT)} | pages
            pages["Files of the comparison"] = run_page(experiment, run_id)
        links = {text: page.removeprefix("/") for text, page in pages.items()} | dict(self._links)
        before = self._runs.experiment_tag(NOTE_TAG)
        now = with_our_part(before, our_part(answer, arm_rows(self._ledger), links))
        if now != before:
            self._runs.set_experiment_tag(NOTE_TAG, now)

    def _write_files(self, answer: ComparisonView, *, is_last: bool) -> str:
        """Upload the files that have changed; return the id of their run."""
        run_id = self._runs.results_run()
        if not (self._has_noted_run or self._has_report):
            self._runs.set_tags(run_id, running_tags())
            self._has_noted_run = True
        for name, content in comparison_files(answer).items():
            if self._uploaded.get((run_id, name)) != content:
                self._runs.log_content(run_id, name, content)
                self._uploaded[run_id, name] = content
        if is_last:
            self._runs.close(run_id)
        else:
            self._runs.reopen(run_id)
        return run_id


def _log_refusal(error: MlflowException | RequestException) -> None:
    """Log a refusal; raise any other error, after which the outbox tries again."""
    if not is_refusal(error):
        raise error
    log.warning("MLflow refuses a part of the page of the experiment: %s", " ".join(str(error).split())[:300])

"""The end of the run "results": the report and the figures of an experiment that has ended, once for each end.

Nothing depends on them: a failure to make or to upload one is logged, and the run says which files are missing. A
driver that follows a killed one makes them again. A file replaces the file with the same name, so none is there twice.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlflow.exceptions import MlflowException
from requests import RequestException

from service.answers.experiments import Links
from service.events import Outcome
from service.results.report_content import ReportContent, ReportedExperiment, report_content
from service.runner.chains.ledger import Ledger
from service.runner.chains.ledger_rows import LedgerRows
from service.runner.chains.resampler import Resampler
from service.runner.shipping.described_experiment import DescribedExperiment
from service.runner.shipping.final_files import REPORT, final_files
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.runner.shipping.refusals import is_refusal
from service.runner.shipping.results_note import ended_tags
from service.storage import ExperimentFolder

log = logging.getLogger(__name__)

# How often the files are uploaded at most, and the time, in s, from one try to the next.
NUM_TRIES = 3
RETRY_INTERVAL_S = 5.0


@dataclass(frozen=True)
class Posted:
    """What the service knows of an experiment and its files do not say: its preset and its times."""

    preset: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None


class FinalReport:
    """Adds the report and the figures to the run "results".

    Args:
        folder: The experiment's folder.
        posted: What the service knows besides.
        ledger: The committed state of all stages.
        resampler: The pairs that were resampled over test samples.
        runs: The experiment's runs in MLflow.
        page: The experiment's page in MLflow, whose description then names the report.
    """

    def __init__(
        self,
        folder: ExperimentFolder,
        posted: Posted,
        ledger: Ledger,
        resampler: Resampler,
        runs: MlflowRuns,
        page: DescribedExperiment,
    ) -> None:
        self._folder, self._posted = folder, posted
        self._ledger, self._resampler, self._runs, self._page = ledger, resampler, runs, page

    def ship(self, outcome: Outcome, num_tries: int = NUM_TRIES) -> None:
        """Make and upload the files. This never raises an error.

        Args:
            outcome: The outcome of the experiment, which the report states.
            num_tries: How often to try while MLflow does not answer.
        """
        began, cpu = time.monotonic(), time.process_time()
        try:
            files, missing = final_files(self.content(outcome))
            took = time.monotonic() - began, time.process_time() - cpu
            left = self._upload(files, num_tries)
            self._note(outcome, [*missing, *left])
        except Exception:  # nothing depends on the report
            log.exception("the report of the experiment is not in MLflow")
            return
        log.info("made the report and %d files in %.1f s (%.1f s of a core)", len(files), *took)

    def content(self, outcome: Outcome) -> ReportContent:
        """Return what the files are made from: what the API has once it has read the driver's events."""
        return report_content(LedgerRows(self._ledger, self._resampler.known), self._about(outcome))

    def _about(self, outcome: Outcome) -> ReportedExperiment:
        stored = json.loads(self._folder.spec.read_bytes())
        return ReportedExperiment(
            id=self._folder.experiment_id,
            name=stored["name"],
            state=outcome.state,
            reason=outcome.reason,
            generation=self._ledger.generation,
            created_at=self._posted.created_at or self._posted.started_at or outcome.at,
            started_at=self._posted.started_at,
            finished_at=outcome.at,
            preset=self._posted.preset,
            links=Links(),
            spec=stored,
        )

    def _upload(self, files: Mapping[str, bytes], num_tries: int) -> list[str]:
        """Upload files; return the names of those that MLflow has not accepted."""
        left, refused = dict(files), list[str]()
        for number in range(num_tries):
            if number:
                time.sleep(RETRY_INTERVAL_S)
            refused += self._try(left)
            if not left:
                break
        return [*refused, *left]

    def _try(self, left: dict[str, bytes]) -> list[str]:
        """Upload files and take them out of `left`, until MLflow does not answer; return the refused names."""
        refused: list[str] = []
        for name, content in [*left.items()]:
            try:
                self._runs.log_content(self._runs.results_run(), name, content)
            except (MlflowException, RequestException) as error:
                log.warning("%s is not in MLflow: %s", name, " ".join(str(error).split())[:300])
                if not is_refusal(error):
                    return refused
                refused.append(name)
            del left[name]
        return refused

    def _note(self, outcome: Outcome, missing: list[str]) -> None:
        run_id = self._runs.results_run()
        self._runs.set_tags(run_id, ended_tags(outcome.state, self._ledger.generation, missing))
        self._runs.close(run_id)
        if REPORT not in missing:
            self._page.name_report()

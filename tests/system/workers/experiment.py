"""One experiment on the cluster, run by a driver's campaign, with a fault after its second epoch."""

import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from service.plan import plan
from service.runner.chains.bookkeeping import open_books
from service.runner.chains.event_file import EventFile
from service.runner.chains.journal import PairJournal, StudyJournal
from service.runner.chains.ledger import Ledger
from service.runner.chains.referee import Referee
from service.runner.chains.resampler import Resampler
from service.runner.chains.study import Study
from service.runner.commits.reading import StageProgress, read_progress
from service.runner.commits.records import Done
from service.runner.tuning.assignment import Assignment, Stopping
from service.runner.tuning.campaign import Campaign
from service.runner.tuning.stop_window import StopWindow
from service.runner.tuning.takeover import Takeover
from service.spec import parse
from service.storage import ExperimentFolder
from tests.system.workers.nodes import until, workers

# The number of committed epochs after which the fault strikes.
STRUCK_AFTER = 2
# An epoch has 13 batches, twelve of 113 samples and one of 86; neither 4 nor 2 divides 113.
SPEC: dict[str, Any] = {
    "name": "several workers",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 4},
    "batch_size": 113,
    "arms": [{"name": "TET", "stages": [{"kind": "train", "T": 2, "epochs": 5, "loss": {"name": "tet"}}]}],
    "seeds": [0],
    "limits": {"max_losses": 2},
}
SWEEP = {"kind": "time_sweep", "T": [1, 2]}

Strike = Callable[["Run"], None]


class Run:
    """An experiment of one chain."""

    def __init__(self, storage: Path, name: str, num_workers: int, *, driver: int = 1, **changes: Any) -> None:
        self.folder = ExperimentFolder(storage, name)
        self._driver, self._changes = driver, changes
        self.folder.driver(driver).mkdir(parents=True)
        document = {**SPEC, **changes, "resources": {"workers_per_trial": num_workers}}
        self.folder.spec.write_text(json.dumps(document))
        self.spec = parse(document)
        (self.chain,) = plan(self.spec)
        self.cancelled = threading.Event()
        self._has_ended = threading.Event()
        self.messages: list[str] = []

    def resumed(self, num_workers: int) -> "Run":
        """Return the same experiment with its next driver and another number of workers."""
        folder, driver = self.folder, self._driver + 1
        return Run(folder.storage, folder.experiment_id, num_workers, driver=driver, **self._changes)

    def to_end(self, strike: Strike | None = None) -> "Run":
        """Run the experiment to its end, with a fault if `strike` is given; raise the errors of the fault."""
        events = EventFile(self.folder.events(self._driver))
        ledger = Ledger(self.folder, [self.chain], events)
        referee = Referee(self.spec, ledger, PairJournal(self.folder.decided))
        study = Study(self.spec, ledger, StudyJournal(self.folder.search))
        campaign = Campaign(
            Assignment(self.folder.experiment_id, self.spec, self.folder, self.folder.storage, self._driver),
            open_books(self.spec, ledger, study, referee, Resampler(self.spec, ledger, self.folder, events)),
            Stopping(StopWindow(self.cancelled, 10.0), Takeover(self.folder, self._driver)),
        )
        handler = _Recorder(self.messages)
        logging.getLogger("service.runner").addHandler(handler)
        with ThreadPoolExecutor(1) as striking:
            struck = None if strike is None else striking.submit(self._strike, strike)
            try:
                campaign.run()
            finally:
                self._has_ended.set()
        logging.getLogger("service.runner").removeHandler(handler)
        if struck is not None:
            struck.result()
        return self

    def progress(self, stage: int = 0) -> StageProgress:
        """Return the committed state of a stage."""
        return read_progress(self.folder.stage(self.chain.id, stage))

    @property
    def done(self) -> Done:
        """The end of the train stage."""
        done = self.progress().done
        assert done is not None, self.messages
        return done

    @property
    def series(self) -> list[tuple[str, dict[str, float]]]:
        """The weight hash and the metrics of each epoch, without times."""
        return [
            (each.weights_sha256, {k: v for k, v in each.metrics.items() if not k.endswith(("_s", "_per_s"))})
            for each in self.progress().commits
        ]

    @property
    def attempts(self) -> list[int]:
        """The attempt that committed each epoch."""
        return [each.attempt for each in self.progress().commits]

    def _strike(self, strike: Strike) -> None:
        until(lambda: len(self.progress().commits) >= STRUCK_AFTER or self._has_ended.is_set())
        assert len(self.progress().commits) >= STRUCK_AFTER, f"the experiment ended before the fault: {self.messages}"
        strike(self)


def note_seconds_after_end(run: Run, times_s: list[float]) -> None:
    """Append to `times_s` how long, in s, workers stay after their stage's end while the experiment continues."""
    until(lambda: run.progress().done)
    start = time.monotonic()
    until(lambda: not workers())
    if run.progress(1).done is None:
        times_s.append(time.monotonic() - start)


class _Recorder(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())

"""The driver: the entry point of an experiment's Ray job.

It reads the commits on storage and runs the missing stages, so a restart is an ordinary start. One Tuner runs the
chains, an outbox ships their commits, and the outcome is the last line of the driver's event file.
"""

import argparse
import gc
import json
import logging
import os
import signal
import sys
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ray import tune

from service import signals
from service.events import DriverStarted, Outcome
from service.plan import plan
from service.results.answering import answer_of
from service.runner import precision
from service.runner.chains.bookkeeping import Bookkeeping, open_books
from service.runner.chains.event_file import EventFile
from service.runner.chains.journal import PairJournal, StudyJournal
from service.runner.chains.ledger import Ledger
from service.runner.chains.outcomes_so_far import outcomes_so_far
from service.runner.chains.referee import Referee
from service.runner.chains.resampler import Resampler
from service.runner.chains.study import Study
from service.runner.outcome import announce_cancelled, is_end, outcome_of
from service.runner.shipping.arms_table import arm_rows, in_lines
from service.runner.shipping.described_experiment import DescribedExperiment
from service.runner.shipping.final_report import NUM_TRIES, FinalReport, Posted
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.runner.shipping.outbox import Outbox
from service.runner.shipping.refusals import Refusals
from service.runner.trial.trainable import StageTrial
from service.runner.tuning.assignment import Assignment, Stopping
from service.runner.tuning.campaign import Campaign
from service.runner.tuning.stop_window import StopWindow
from service.runner.tuning.takeover import Takeover
from service.spec import Experiment, parse
from service.states import ExperimentState
from service.storage import ExperimentFolder
from service.times import log_to

log = logging.getLogger("service.runner")

# The time, in s, for which the driver of a cancelled experiment may still ship commits to MLflow.
CANCEL_SHIPPING_S = 10.0


@dataclass(frozen=True)
class DriverArguments:
    """The driver's command line."""

    experiment: str
    attempt: int
    generation: int
    storage: Path
    mlflow_url: str
    stop_window: float
    tracking_patience: float
    data: Path | None
    api_url: str | None
    preset: str | None
    created_at: datetime | None
    started_at: datetime | None

    def links(self) -> dict[str, str]:
        """Return the addresses that the description in MLflow has, by their text."""
        # A link to the Ray job would lead nowhere after a restart of Ray. The API says where the job is.
        return {} if self.api_url is None else {"Answer of the API": f"{self.api_url}/experiments/{self.experiment}"}

    def posted(self) -> Posted:
        """Return what the report says besides."""
        return Posted(self.preset, self.created_at, self.started_at)


def main(argv: list[str] | None = None, trainable: type[tune.Trainable] = StageTrial) -> int:
    """Run an experiment to its outcome, or until a newer driver takes over.

    Args:
        argv: The command line; None: the command line of this process.
        trainable: The class that runs a stage. A benchmark passes a class that trains nothing.

    Returns:
        The exit status: 1 if the experiment has failed, which makes its Ray job FAILED; otherwise 0. The outcome is on
        the storage by then, and the reconciler reads it there before it judges an ended job.
    """
    arguments = parse_arguments(argv)
    folder = ExperimentFolder(arguments.storage, arguments.experiment)
    # mkdir fails if the folder exists, so two drivers never have the same number and never write the same file. mkdir
    # does not make the parents, so a job that Ray starts late does not make the folder of a deleted experiment again.
    folder.driver(arguments.attempt).mkdir()
    _log_to(folder.driver_log(arguments.attempt))
    cancelled = threading.Event()
    signals.set_on(cancelled, signal.SIGINT, signal.SIGTERM)
    spec = parse(json.loads(folder.spec.read_bytes()))
    takeover = Takeover(folder, arguments.attempt)
    outcome = _drive(arguments, folder, spec, cancelled, takeover, trainable)
    if outcome is None:
        log.info("driver %d has taken over experiment %s", takeover.newest, arguments.experiment)
    else:
        log.info("experiment %s has %s %s", arguments.experiment, outcome.state, outcome.reason)
    return int(outcome is not None and outcome.state is ExperimentState.FAILED)


def _drive(
    arguments: DriverArguments,
    folder: ExperimentFolder,
    spec: Experiment,
    cancelled: threading.Event,
    takeover: Takeover,
    trainable: type[tune.Trainable],
) -> Outcome | None:
    """Run the missing stages and ship everything; return None if a newer driver has taken over."""
    events = EventFile(folder.events(arguments.attempt))
    events.append(DriverStarted(attempt=arguments.attempt))
    spec = precision.decide_auto(folder, spec, lambda: cancelled.is_set() or takeover.has_come())
    books = _open_books(spec, folder, events, arguments.generation)
    board, ledger = books.board, books.ledger
    runs = MlflowRuns(arguments.mlflow_url, arguments.experiment, spec.name, spec.description)
    refusals = Refusals(arguments.tracking_patience)
    page = DescribedExperiment(spec, ledger, books.resampler, runs, arguments.links())
    outbox = Outbox(arguments.experiment, ledger, runs, events, folder.spec, refusals, page)
    outbox.start()
    if not board.over:
        assignment = Assignment(arguments.experiment, spec, folder, arguments.data, arguments.attempt)
        stopping = Stopping(StopWindow(cancelled, arguments.stop_window), takeover)
        Campaign(assignment, books, stopping, trainable).run()
    # A cancelled driver must end soon: what it leaves out is computed when the experiment has ended.
    books.resampler.finish(lambda: cancelled.is_set() or takeover.has_come())
    shipped = outbox.finish(cancelled, CANCEL_SHIPPING_S, takeover.has_come)
    if takeover.has_come():
        return None
    if cancelled.is_set() and not (board.over and shipped):
        outbox.kill_unfinished()
        announce_cancelled(ledger, events)
        outcome = Outcome(state=ExperimentState.CANCELLED, reason="cancelled while it ran")
    else:
        outcome = outcome_of(books, outbox)
    _log_answer(spec, books)
    if is_end(outcome, folder.cancelled(arguments.attempt)) and (shipped or not cancelled.is_set()):
        # The driver ends after the report. Without this, the garbage collector would examine all that Ray and MLflow
        # have loaded several times while matplotlib is loaded: a fifth of the report's time.
        gc.freeze()
        report = FinalReport(folder, arguments.posted(), ledger, books.resampler, runs, page)
        report.ship(outcome, NUM_TRIES if shipped and not cancelled.is_set() else 1)
        if takeover.has_come():
            return None
    events.append(outcome)
    events.close()
    return outcome


def _log_answer(spec: Experiment, books: Bookkeeping) -> None:
    """Log the arms, the verdict on each pair, and the notes. An error must not keep the experiment from its end."""
    try:
        answer = answer_of(spec, outcomes_so_far(books.ledger), books.resampler.known)
        for line in (*in_lines(arm_rows(books.ledger)), *answer.notes):
            log.info("%s", line)
    except Exception:  # nothing depends on these lines
        log.exception("the answer cannot be computed")


def _open_books(spec: Experiment, folder: ExperimentFolder, events: EventFile, generation: int) -> Bookkeeping:
    """Read the commits and decisions of earlier drivers, and announce them."""
    ledger = Ledger(folder, plan(spec), events, generation)
    study = Study(spec, ledger, StudyJournal(folder.search))
    study.begin()
    referee = Referee(spec, ledger, PairJournal(folder.decided))
    referee.begin()
    ledger.announce_all()
    resampler = Resampler(spec, ledger, folder, events)
    return open_books(spec, ledger, study, referee, resampler)


def _log_to(file: Path) -> None:
    """Log to the job's output, which Ray stores, and to a file on storage, which the API reads."""
    handlers = logging.StreamHandler(sys.stdout), logging.FileHandler(file, encoding="utf-8")
    log_to(*handlers, level=os.environ.get("TET_LOG_LEVEL", "INFO"))


def parse_arguments(argv: list[str] | None) -> DriverArguments:
    """Read the command line `argv`. If `argv` is None, read the command line of this process."""
    parser = argparse.ArgumentParser(prog="python -m service.runner.driver", description=__doc__)
    parser.add_argument("--experiment", required=True, help="the experiment's id")
    parser.add_argument("--attempt", required=True, type=int, help="number of this driver, from 1")
    parser.add_argument("--generation", type=int, default=1, help="the experiment's generation, from 1")
    parser.add_argument("--storage", required=True, type=Path, help="root of the shared storage")
    parser.add_argument("--mlflow-url", required=True, help="URL of the MLflow server")
    parser.add_argument(
        "--stop-window",
        required=True,
        type=float,
        help="time, in s, in which stopped trials may end their epoch",
    )
    parser.add_argument(
        "--tracking-patience",
        required=True,
        type=float,
        help="time, in s, for which MLflow may refuse everything",
    )
    parser.add_argument("--data", type=Path, default=None, help="folder of the data sets (TET_DATA)")
    parser.add_argument("--api-url", default=None, help="URL of the API, for a link in MLflow")
    parser.add_argument("--preset", default=None, help="the preset with which the experiment was posted")
    for flag, what in (("--created-at", "was posted"), ("--started-at", "first left the queue")):
        parser.add_argument(flag, type=datetime.fromisoformat, default=None, help=f"when the experiment {what}")
    return DriverArguments(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())

"""The driver: the entry point of an experiment's Ray job.

It reads what is committed on storage and runs what is missing, so a restart is an ordinary start: one Tuner over one
searcher over the chains, an outbox beside it, and the outcome as the last line of its event file.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ray import tune

from service import signals
from service.events import ChainChanged, DriverStarted, Outcome, StageChanged
from service.failures import Failure, FailureType
from service.plan import Chain, plan
from service.runner import precision
from service.runner.chains.board import Board, StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.journal import StudyJournal
from service.runner.chains.ledger import Ledger, Stop
from service.runner.chains.study import Study
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.runner.shipping.outbox import Outbox
from service.runner.shipping.refusals import Refusals
from service.runner.shipping.run_content import chain_name
from service.runner.trial.trainable import StageTrial
from service.runner.tuning.campaign import Campaign
from service.runner.tuning.stop_window import StopWindow
from service.runner.tuning.takeover import Takeover
from service.spec import Experiment, parse
from service.states import ExperimentState, WorkState
from service.storage import ExperimentFolder

log = logging.getLogger("service.runner")

# A cancelled experiment ships what it has for at most this long.
CANCEL_SHIPPING_S = 10.0


@dataclass(frozen=True)
class Arguments:
    """The driver's command line."""

    experiment: str
    attempt: int
    generation: int
    storage: Path
    mlflow_url: str
    stop_window: float
    tracking_patience: float
    data: Path | None


def main(argv: list[str] | None = None, trainable: type[tune.Trainable] = StageTrial) -> int:
    """Run an experiment to its outcome, or until a newer driver takes over; 0 in both cases, however bad it is.

    Args:
        argv: The command line; None: this process's.
        trainable: What runs a stage; a benchmark has one that trains nothing.

    Returns:
        The exit status.
    """
    arguments = _parse(argv)
    folder = ExperimentFolder(arguments.storage, arguments.experiment)
    # Exclusive: no two drivers share a number, so no two write one file. Without its parents, which the service has
    # made: a job that Ray starts late must not bring back the folder of an experiment that was deleted.
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
    return 0


def _drive(
    arguments: Arguments,
    folder: ExperimentFolder,
    spec: Experiment,
    cancelled: threading.Event,
    takeover: Takeover,
    trainable: type[tune.Trainable],
) -> Outcome | None:
    """Run what is missing and ship it; None where a newer driver does so now."""
    events = EventFile(folder.events(arguments.attempt))
    events.append(DriverStarted(attempt=arguments.attempt))
    spec = precision.settle(folder, spec, lambda: cancelled.is_set() or takeover.has_come())
    chains = plan(spec)
    ledger = Ledger(folder, chains, events, arguments.generation)
    study = Study(spec, ledger, StudyJournal(folder.search))
    study.begin()
    ledger.announce_all()
    runs = MlflowRuns(arguments.mlflow_url, arguments.experiment, spec.name, spec.description)
    outbox = Outbox(arguments.experiment, ledger, runs, events, folder.spec, Refusals(arguments.tracking_patience))
    outbox.start()
    board = make_board(spec, ledger, study)
    if not board.over:
        stop = StopWindow(cancelled, arguments.stop_window)
        Campaign(
            arguments.experiment,
            spec,
            board,
            ledger,
            study,
            folder,
            arguments.data,
            arguments.attempt,
            stop,
            takeover,
            trainable,
        ).run()
    shipped = outbox.finish(cancelled, CANCEL_SHIPPING_S, takeover.has_come)
    if takeover.has_come():
        return None
    if cancelled.is_set() and not (board.over and shipped):
        outbox.kill_unfinished()
        _announce_cancelled(ledger, events)
        outcome = Outcome(state=ExperimentState.CANCELLED, reason="cancelled while it ran")
    else:
        outcome = _outcome(board, ledger, outbox)
    events.append(outcome)
    events.close()
    return outcome


def make_board(spec: Experiment, ledger: Ledger, study: Study) -> Board:
    """What may run, by what is committed."""
    chains = [*ledger.chains.values()]

    def those(is_so: Callable[[Chain], bool]) -> frozenset[str]:
        return frozenset(chain.id for chain in chains if is_so(chain))

    return Board(
        chains,
        done={chain.id: ledger.done_stages(chain) for chain in chains},
        failed=those(ledger.failed),
        stopped=those(lambda chain: ledger.chain_state(chain) is WorkState.STOPPED),
        begun=those(lambda chain: ledger.chain_state(chain) is WorkState.RUNNING),
        held=those(lambda chain: study.waits(chain.id)),
        max_open=None if spec.search is None else spec.search.max_concurrent or (1 if spec.search.learns else None),
    )


def _outcome(board: Board, ledger: Ledger, outbox: Outbox) -> Outcome:
    """How all of it has ended: in a failure of its chains, in MLflow's refusal, or well."""
    assert board.over, "Tune has ended, and something is left to run"
    reasons, told = [], None
    if outbox.refusal is not None:
        left = f"{num} points are" if (num := outbox.pending()) else "the end of its runs is"
        reasons = [f"{left} not in MLflow, which refuses: {outbox.refusal}"]
        told = Failure.of(FailureType.TRACKING, f"MLflow refuses what is logged: {outbox.refusal}").summary
    if board.failed_chains:
        first = ledger.failure(board.failed_chains[0])
        reasons, told = [_failed(board, ledger), *reasons], first.summary if first is not None else told
    for arm, stop in _broken_arms(ledger):
        reasons.append(
            f"every configuration of {arm!r} was stopped, one of them so: {stop.reason}; "
            "that stays so in a retry: search anew"
        )
        told = told or (stop.failure.summary if stop.failure is not None else None)
    return Outcome(
        state=ExperimentState.FAILED if reasons else ExperimentState.SUCCEEDED,
        reason="; ".join(reasons),
        failure=told,
    )


def _broken_arms(ledger: Ledger) -> Iterator[tuple[str, Stop]]:
    """The arms of which no configuration has come to its end at every seed, with why one was stopped."""
    ended: dict[tuple[str, int], bool] = {}
    stops: dict[str, Stop] = {}
    for chain in ledger.chains.values():
        key, stop = (chain.arm, chain.number), ledger.stop_of(chain)
        ended[key] = ended.get(key, True) and stop is None
        if stop is not None and (chain.arm not in stops or stop.failure is not None):
            stops[chain.arm] = stop
    well = {arm for (arm, _), is_so in ended.items() if is_so}
    yield from ((arm, stop) for arm, stop in stops.items() if arm not in well)


def _failed(board: Board, ledger: Ledger) -> str:
    # The board knows chains as they were before a search had proposed anything for them.
    failed = [chain_name(ledger.chains[chain.id]) for chain in board.failed_chains]
    shown = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
    return f"{len(failed)} of {board.num_chains} chains failed: {shown}"


def _announce_cancelled(ledger: Ledger, events: EventFile) -> None:
    for chain in ledger.chains.values():
        if ledger.chain_state(chain) is WorkState.STOPPED:
            continue
        for stage in chain.stages:
            stage_id = StageId(chain.id, stage.index)
            if ledger.progress(stage_id).done is None:
                event = ledger.stage_event(stage_id, WorkState.CANCELLED)
                assert isinstance(event, StageChanged)
                events.append(event)
        if ledger.chain_state(chain) not in (WorkState.SUCCEEDED, WorkState.FAILED):
            events.append(ChainChanged(chain=chain.id, state=WorkState.CANCELLED))


def _log_to(file: Path) -> None:
    """Log to the job's output, which Ray keeps, and to storage, where the API finds it."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout), logging.FileHandler(file, encoding="utf-8")]
    logging.basicConfig(
        level=os.environ.get("TET_LOG_LEVEL", "INFO"), format="%(asctime)s %(levelname)s %(message)s", handlers=handlers
    )


def _parse(argv: list[str] | None) -> Arguments:
    parser = argparse.ArgumentParser(prog="python -m service.runner.driver", description=__doc__)
    parser.add_argument("--experiment", required=True, help="the experiment's id")
    parser.add_argument("--attempt", required=True, type=int, help="number of this driver, from 1")
    parser.add_argument("--generation", type=int, default=1, help="how often the experiment was begun, from 1")
    parser.add_argument("--storage", required=True, type=Path, help="root of the shared storage")
    parser.add_argument("--mlflow-url", required=True, help="the MLflow server")
    parser.add_argument("--stop-window", required=True, type=float, help="how long, s, trials may end their epoch in")
    parser.add_argument(
        "--tracking-patience", required=True, type=float, help="how long, s, MLflow may refuse in a row"
    )
    parser.add_argument("--data", type=Path, default=None, help="where the data sets lie (TET_DATA)")
    return Arguments(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())

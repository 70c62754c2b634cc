"""Tests of the ends of trials, with a real board, ledger and study but without Ray."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.failures import Failure, FailureType
from service.plan import plan
from service.runner.chains.board import Answer, StageId
from service.runner.chains.bookkeeping import open_books
from service.runner.chains.event_file import EventFile
from service.runner.chains.journal import PairJournal, StudyJournal
from service.runner.chains.ledger import Ledger
from service.runner.chains.referee import Referee
from service.runner.chains.resampler import Resampler
from service.runner.chains.study import Study
from service.runner.checking.check_records import CheckReport
from service.runner.checking.condemnation import Condemnation
from service.runner.commits.attempt import Attempt
from service.runner.commits.records import Done
from service.runner.tuning.assignment import Assignment, Stopping
from service.runner.tuning.early_ends import EarlyEnds
from service.runner.tuning.endings import Endings, losses_in_words
from service.runner.tuning.search_turns import SearchTurns
from service.runner.tuning.stop_window import StopWindow
from service.runner.tuning.takeover import Takeover
from service.runner.tuning.watchdog import Watchdog
from service.spec import parse
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.conftest import ARMS
from tests.unit.service.runner.writing import write
from tests.unit.service.spec.test_spec import spec

NewDesk = Callable[..., "Desk"]
NODE_DIED = "The actor is dead because its node has died."


class Desk:
    """The board, ledger and study of an experiment of two chains; the tests play its trials."""

    def __init__(self, folder: ExperimentFolder, **changes: Any) -> None:
        folder.driver(1).mkdir(parents=True, exist_ok=True)
        self.spec = parse(spec(**({"arms": ARMS[1:], "baseline": "TIT", "seeds": [0, 1]} | changes)))
        self.folder, self.stopped = folder, threading.Event()
        self.events = EventFile(folder.events(1))
        ledger = Ledger(folder, plan(self.spec), self.events)
        study = Study(self.spec, ledger, StudyJournal(folder.search))
        referee = Referee(self.spec, ledger, PairJournal(folder.decided))
        referee.begin()
        resampler = Resampler(self.spec, ledger, folder, self.events)
        self.books = open_books(self.spec, ledger, study, referee, resampler)
        self.turns = SearchTurns(self.books)
        assignment = Assignment("0123", self.spec, folder, None, attempt=1)
        stopping = Stopping(StopWindow(self.stopped, 10.0), Takeover(folder, 1))
        watchdog = Watchdog(self.spec.limits)
        self.condemnation = Condemnation(folder, 1, ledger.chains.values, lambda first, accused: self.second)
        self.early = EarlyEnds(folder, self.books, self.condemnation)
        self.endings = Endings(
            assignment, self.books, self.turns, stopping, watchdog, self.early, lambda stage: NODE_DIED
        )
        # The report of another node; None if there is no other node.
        self.second: CheckReport | None = None

    def take(self) -> StageId:
        stage = self.turns.take()
        assert isinstance(stage, StageId)
        return stage

    def done(self, stage: StageId) -> Done | None:
        return self.books.ledger.progress(stage).done

    def path(self, stage: StageId) -> Any:
        return self.folder.stage(stage.chain, stage.index)


@pytest.fixture
def new_desk(experiment: ExperimentFolder) -> Iterator[NewDesk]:
    """Yield a function that makes a desk, given changes of its spec."""
    desks: list[Desk] = []

    def make(**changes: Any) -> Desk:
        desks.append(Desk(experiment, **changes))
        return desks[-1]

    yield make
    for desk in desks:
        desk.events.close()


@pytest.fixture
def desk(new_desk: NewDesk) -> Desk:
    return new_desk()


def test_the_next_stage_of_a_chain_follows_a_succeeded_stage(desk: Desk) -> None:
    first = desk.take()
    write(desk.path(first), 2, of=2)
    desk.endings.record(first, {"epoch": 2})
    assert desk.take() == StageId(first.chain, 1)


def test_a_stage_is_retried_until_too_many_of_its_trials_were_lost(new_desk: NewDesk) -> None:
    desk = new_desk(limits={"max_losses": 2})
    first = desk.take()
    desk.endings.record(first, None)
    assert desk.done(first) is None
    assert desk.take() == first
    desk.endings.record(first, None)
    done = desk.done(first)
    assert done is not None
    assert (done.state, done.failure and done.failure.type) == (WorkState.FAILED, FailureType.NODE_LOST)
    assert done.failure is not None
    assert done.failure.message == (
        "the trial's node was lost (2 times in a row, with no epoch committed in between; limits.max_losses is 2)"
    )
    assert desk.take().chain != first.chain, "the other chain continues"


@pytest.mark.parametrize(
    ("losses", "max_losses", "words"),
    [
        (1, 1, "(once; limits.max_losses is 1)"),
        (3, 3, "(3 times in a row, with no epoch committed in between; limits.max_losses is 3)"),
        (3, 2, "(3 times in a row, with no epoch committed in between; limits.max_losses is 2)"),
    ],
)
def test_the_message_about_losses_has_their_number_and_the_limit(losses: int, max_losses: int, words: str) -> None:
    assert losses_in_words(losses, max_losses) == words


def test_an_epoch_between_two_losses_resets_their_count(new_desk: NewDesk) -> None:
    desk = new_desk(limits={"max_losses": 2}, seeds=[0])
    first = desk.take()
    for epochs in (0, 1):
        write(desk.path(first), epochs, of=2)
        desk.endings.record(first, None)
        assert desk.done(first) is None
        assert desk.take() == first


def test_a_users_failure_is_not_retried(desk: Desk) -> None:
    first = desk.take()
    failure = Failure.of(FailureType.DATA, "images/2.png: damaged", kind="DataError")
    desk.endings.record(first, {"epoch": 0, "failure": failure.model_dump_json()})
    done = desk.done(first)
    assert done is not None
    assert done.failure == failure
    assert json.loads(desk.path(first).done().read_bytes())["failure"] == failure.as_json()


def test_a_superseded_trial_counts_as_lost(desk: Desk) -> None:
    first = desk.take()
    Attempt(desk.path(first))
    desk.endings.record(first, {"epoch": 0, "failure": None})
    assert desk.done(first) is None
    assert desk.take() == first


def test_when_the_experiment_stops_nothing_fails_and_nothing_starts(new_desk: NewDesk) -> None:
    desk = new_desk(limits={"max_losses": 1})
    first = desk.take()
    desk.stopped.set()
    desk.endings.record(first, None)
    assert desk.done(first) is None
    assert desk.turns.take() is Answer.FINISHED


def searching(new_desk: NewDesk) -> Desk:
    search = {"method": "random", "num_configurations": 3, "space": {"optimizer.lr": {"log_range": [1e-4, 1.0]}}}
    stopping = {"name": "median", "grace_epochs": 1}
    return new_desk(search=search, validation=0.1, early_stopping=stopping)


def test_in_a_search_a_network_that_breaks_down_stops_its_configuration_and_is_no_failure(
    new_desk: NewDesk,
) -> None:
    desk = searching(new_desk)
    first, second = desk.take(), desk.take()
    failure = Failure.of(FailureType.NOT_FINITE, "the loss is nan", kind="FloatingPointError")
    desk.endings.record(first, {"epoch": 0, "failure": failure.model_dump_json()})
    ledger = desk.books.ledger
    for stage in (first, second):
        assert ledger.chain_state(ledger.chains[stage.chain]) is WorkState.STOPPED
    assert desk.books.board.failed_chains == []
    assert desk.take().chain not in (first.chain, second.chain)


def test_a_chain_waits_at_a_rung_until_the_other_seed_has_reached_it(
    new_desk: NewDesk,
) -> None:
    desk = searching(new_desk)
    first, second = desk.take(), desk.take()
    write(desk.path(first), 1, of=2, **{"val/accuracy": 0.5})
    assert not desk.turns.goes_on(_config(first), {"epoch": 1})
    desk.endings.record(first, {"epoch": 1})
    assert desk.done(first) is None, "the search ended the trial, and that is no loss"
    write(desk.path(second), 1, of=2, **{"val/accuracy": 0.5})
    assert desk.turns.goes_on(_config(second), {"epoch": 1})
    assert desk.take() == first


def _config(stage: StageId) -> dict[str, Any]:
    return {"chain_id": stage.chain, "stage_index": stage.index}


def test_a_newer_driver_ends_the_older_ones_trials_without_a_failure(new_desk: NewDesk) -> None:
    desk = new_desk(limits={"max_losses": 1})
    first = desk.take()
    desk.folder.driver(2).mkdir()
    desk.endings.record(first, None)
    assert desk.done(first) is None
    assert desk.turns.take() is Answer.FINISHED

"""Tests of the early ends of chains that the check condemns, with a real board, ledger and study but without Ray."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from service.failures import Failure, FailureType
from service.runner.chains.board import Answer, StageId
from service.runner.checking.check_records import CheckFault, CheckReport, FaultScope, write_report
from service.runner.checking.check_subjects import data_key, subject_key, trained
from service.runner.commits.attempt import Attempt
from service.runner.outcome import failed_in_words
from service.runner.tuning.early_ends import TURN_S, EarlyEnds
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.tuning.test_endings import Desk, searching
from tests.unit.service.runner.writing import begin, write

WRONG = Failure.of(FailureType.SPEC, "entry_point is 'goood'; installed here under 'tet.models': good", kind="Config")


@pytest.fixture
def desk(experiment: ExperimentFolder) -> Iterator[Desk]:
    """Make a desk of two chains: TIT at two seeds, with two stages each."""
    made = Desk(experiment)
    yield made
    made.events.close()


def reported(desk: Desk, *stages: int, host: str = "one") -> CheckReport:
    """Return a report of a host about TIT, in which the stages with these indices have a fault."""
    configs = [trained(stage.config) for stage in next(iter(desk.books.ledger.chains.values())).stages]
    faults = [CheckFault(scope=FaultScope.SUBJECT, key=subject_key(configs[i]), failure=WRONG) for i in stages]
    checked = tuple(map(subject_key, configs))
    return CheckReport(host=host, node=host, at_ms=1, num_subjects=2, checked=checked, faults=tuple(faults))


def condemn(desk: Desk, *stages: int) -> None:
    write_report(desk.folder.check(1, 1), reported(desk, *stages))
    desk.condemnation.look(at_once=True)


def states(desk: Desk) -> list[WorkState]:
    return [desk.books.ledger.chain_state(chain) for chain in desk.books.ledger.chains.values()]


def failures(desk: Desk) -> list[Failure | None]:
    return [desk.books.ledger.failure(chain) for chain in desk.books.ledger.chains.values()]


def test_waiting_chains_end_at_once_with_the_same_failure(desk: Desk) -> None:
    condemn(desk, 0)
    desk.early.end_waiting()
    assert states(desk) == [WorkState.FAILED] * 2
    assert failures(desk) == [WRONG] * 2
    assert desk.books.board.over
    assert desk.turns.take() is Answer.FINISHED
    assert (
        failed_in_words(desk.books.board.failed_chains, 2, desk.books.ledger)
        == f"2 of 2 chains failed alike: spec: {WRONG.message}"
    )


def test_without_a_report_every_chain_goes_on(desk: Desk) -> None:
    desk.condemnation.look(at_once=True)
    desk.early.end_waiting()
    assert not desk.early.refuse(desk.take())
    assert states(desk) == [WorkState.WAITING] * 2


def test_a_chain_ends_before_a_stage_that_cannot_run_even_if_earlier_ones_can(desk: Desk) -> None:
    condemn(desk, 1)
    desk.early.end_waiting()
    for chain in desk.books.ledger.chains:
        done = desk.done(StageId(chain, 1))
        assert done is not None
        assert (done.state, done.failure) == (WorkState.FAILED, WRONG)
        assert desk.done(StageId(chain, 0)) is None


def test_a_chain_with_a_trial_ends_when_its_trial_does(desk: Desk) -> None:
    taken = desk.take()
    begin(desk.path(taken))
    desk.books.ledger.refresh(taken)
    condemn(desk, 1)
    desk.early.end_waiting()
    assert states(desk) == [WorkState.RUNNING, WorkState.FAILED]
    desk.endings.record(taken, None)  # its process was ended
    assert states(desk) == [WorkState.FAILED] * 2
    assert failures(desk) == [WRONG] * 2
    assert desk.books.board.over


def test_a_trial_that_succeeds_meanwhile_keeps_its_stage(desk: Desk) -> None:
    taken = desk.take()
    condemn(desk, 1)
    write(desk.path(taken), 2, of=2)
    desk.endings.record(taken, {"epoch": 2})
    done = desk.done(taken)
    assert done is not None
    assert done.state is WorkState.SUCCEEDED
    following = desk.take()
    assert following == StageId(taken.chain, 1)
    assert desk.early.refuse(following)
    assert failures(desk)[0] == WRONG


def test_a_trial_that_reports_its_own_failure_keeps_it(desk: Desk) -> None:
    taken = desk.take()
    condemn(desk, 0)
    own = Failure.of(FailureType.SPEC, "its own words", kind="ConfigError")
    desk.endings.record(taken, {"epoch": 0, "failure": own.model_dump_json()})
    desk.early.end_waiting()
    assert failures(desk) == [own, WRONG]


def test_a_later_driver_ends_what_the_earlier_one_did_not(experiment: ExperimentFolder, desk: Desk) -> None:
    condemn(desk, 0)
    desk.early.end(next(iter(desk.books.ledger.chains.values())))
    later = Desk(experiment)
    later.condemnation.look()
    later.early.end_waiting()
    later.events.close()
    assert failures(later) == [WRONG] * 2
    assert later.books.board.over


def test_a_retry_checks_again(desk: Desk) -> None:
    condemn(desk, 0)
    desk.early.end_waiting()
    assert desk.folder.check(1, 2).exists()
    assert not desk.folder.check(2, 1).exists()


def fails_at_start(desk: Desk, stage: StageId, host: str) -> None:
    """Play a trial that fails before its attempt has a start record."""
    Attempt(desk.path(stage))
    desk.endings.record(stage, {"epoch": 0, "failure": WRONG.model_dump_json(), "hostname": host})


def test_a_fault_of_one_node_only_condemns_nothing_and_its_stage_is_tried_again(desk: Desk) -> None:
    desk.second = reported(desk, host="two")
    write_report(desk.folder.check(1, 1), reported(desk, 0))
    taken = desk.take()
    fails_at_start(desk, taken, "one")
    assert desk.done(taken) is None
    assert not desk.condemnation.condemns
    assert desk.take() == taken


def test_a_stage_that_fails_again_and_again_on_one_node_fails_in_the_end(experiment: ExperimentFolder) -> None:
    desk = Desk(experiment, limits={"max_losses": 2})
    desk.second = reported(desk, host="two")
    write_report(desk.folder.check(1, 1), reported(desk, 0))
    for _ in range(2):
        taken = desk.take()
        fails_at_start(desk, taken, "one")
    desk.events.close()
    done = desk.done(taken)
    assert done is not None
    assert done.failure is not None
    assert done.failure.message == (
        f"{WRONG.message} (2 times in a row, with no epoch committed in between; limits.max_losses is 2)"
    )


def test_a_failure_after_the_start_is_the_users_on_any_host(desk: Desk) -> None:
    write_report(desk.folder.check(1, 1), reported(desk))
    taken = desk.take()
    begin(desk.path(taken))
    desk.endings.record(taken, {"epoch": 0, "failure": WRONG.model_dump_json(), "hostname": "two"})
    done = desk.done(taken)
    assert done is not None
    assert done.failure == WRONG


def condemn_data(desk: Desk) -> None:
    """Play a check that has found the data at fault, which all configurations of a search have in common."""
    config = trained(next(iter(desk.books.ledger.chains.values())).stages[0].config)
    fault = CheckFault(scope=FaultScope.DATA, key=data_key(config), failure=WRONG)
    report: dict[str, Any] = {"host": "one", "at_ms": 1, "num_subjects": 1, "checked": (subject_key(config),)}
    write_report(desk.folder.check(1, 1), CheckReport(**report, faults=(fault,)))
    desk.condemnation.look(at_once=True)


def test_in_a_search_the_chains_of_a_condemned_configuration_end(experiment: ExperimentFolder) -> None:
    desk = searching(lambda **changes: Desk(experiment, **changes))
    condemn_data(desk)
    desk.early.end_waiting()
    desk.events.close()
    assert set(states(desk)) == {WorkState.FAILED}
    assert desk.turns.take() is Answer.FINISHED


@pytest.fixture
def learning(experiment: ExperimentFolder) -> Iterator[Desk]:
    """Make a desk of a search that proposes each configuration when it is taken, and whose data is at fault."""
    space = {"optimizer.lr": {"log_range": [1e-4, 1.0]}}
    search = {"method": "tpe", "num_configurations": 8, "space": space}
    made = Desk(experiment, search=search, validation=0.1)
    condemn_data(made)
    yield made
    made.events.close()


def test_a_search_whose_configurations_all_fail_lets_tune_go_on_in_between(learning: Desk) -> None:
    quarters = count()
    early = EarlyEnds(learning.folder, learning.books, learning.condemnation, clock=lambda: next(quarters) * TURN_S / 4)
    assert early.take(learning.turns) is Answer.WAIT
    assert states(learning).count(WorkState.FAILED) == 4, "it goes on for a limited time"
    answers = [early.take(learning.turns) for _ in range(4)]
    assert answers[-1] is Answer.FINISHED
    assert set(states(learning)) == {WorkState.FAILED}


def test_a_driver_that_must_stop_ends_no_more_chains(learning: Desk) -> None:
    early = EarlyEnds(learning.folder, learning.books, learning.condemnation, learning.stopped.is_set)
    learning.stopped.set()
    early.end_waiting()
    assert WorkState.FAILED not in states(learning)
    assert early.take(learning.turns) is Answer.FINISHED
    assert states(learning).count(WorkState.FAILED) == 1


def test_a_stage_that_can_run_is_taken(desk: Desk) -> None:
    taken = desk.early.take(desk.turns)
    assert taken == StageId(next(iter(desk.books.ledger.chains)), 0)

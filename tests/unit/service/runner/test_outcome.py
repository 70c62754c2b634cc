"""Tests of outcomes: the words about failed chains, and which outcome is the end."""

import time

from service.events import Outcome
from service.failures import Failure, FailureType
from service.plan import plan
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.commits.attempt import Attempt
from service.runner.outcome import failed_in_words, is_end
from service.spec import parse
from service.states import ExperimentState, WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.conftest import ARMS
from tests.unit.service.spec.test_spec import spec


def words(folder: ExperimentFolder, *messages: str) -> str:
    """Let one of 6 chains fail for each message, with that message; return the words about the failed chains."""
    folder.driver(1).mkdir(parents=True)
    events = EventFile(folder.events(1))
    chains = plan(parse(spec(arms=ARMS[:1], baseline="SDT", seeds=[*range(6)])))
    for chain, message in zip(chains, messages, strict=False):
        failure = Failure.of(FailureType.DATA, message)
        Attempt(folder.stage(chain.id, 0)).finish(
            state=WorkState.FAILED, at_ms=time.time_ns() // 1_000_000, failure=failure
        )
    ledger = Ledger(folder, chains, events)
    events.close()
    failed = [chain for chain in chains if ledger.has_failed(chain)]
    return failed_in_words(failed, len(chains), ledger)


def test_chains_that_fail_each_in_its_own_way_are_named(experiment: ExperimentFolder) -> None:
    assert words(experiment, "a", "b") == "2 of 6 chains failed: SDT · seed 0, SDT · seed 1"


def test_one_failure_of_all_chains_is_stated_once(experiment: ExperimentFolder) -> None:
    assert words(experiment, *["no folder"] * 6) == "6 of 6 chains failed alike: data: no folder"


def test_shared_failures_come_first_with_their_number(experiment: ExperimentFolder) -> None:
    assert words(experiment, "b", "a", "c", "a", "b", "a") == (
        "6 of 6 chains failed: 3 chains failed alike: data: a; 2 chains failed alike: data: b; SDT · seed 2"
    )


def test_a_stopped_driver_is_the_end_only_if_the_experiment_is_cancelled(experiment: ExperimentFolder) -> None:
    experiment.drivers.mkdir(parents=True)
    stopped, failed = Outcome(state=ExperimentState.CANCELLED), Outcome(state=ExperimentState.FAILED)
    assert [is_end(outcome, experiment.cancelled(1)) for outcome in (stopped, failed)] == [False, True]
    experiment.cancelled(1).touch()
    assert is_end(stopped, experiment.cancelled(1))
    assert not is_end(stopped, experiment.cancelled(2))

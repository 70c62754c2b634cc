"""Tests of a driver that adds seeds until the arms are decided, with real books but without Ray."""

from collections.abc import Iterator
from typing import Any

import pytest

from service.events import EVENT, AnyEvent, ChainChanged, Outcome, StageChanged
from service.failures import Failure, FailureType
from service.runner.chains.board import Answer, StageId
from service.runner.outcome import outcome_of
from service.runner.shipping.mlflow_runs import MlflowRuns
from service.runner.shipping.outbox import Outbox
from service.runner.shipping.refusals import Refusals
from service.runner.tuning.early_ends import mark_failed
from service.states import ExperimentState, WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.tuning.test_endings import Desk
from tests.unit.service.runner.writing import begin, write
from tests.unit.service.spec.test_spec import tet, train

ARMS = [{"name": "SDT", "stages": [train(epochs=2)]}, {"name": "TET", "stages": [train(epochs=2, loss=tet())]}]
UNTIL = {"at_most": 12, "until": "decided", "ahead": 2}
GAINS = [0.020, 0.022, 0.019, 0.021, 0.020, 0.5]


class UntilDesk(Desk):
    """A desk whose trials succeed with accuracies that decide at the fifth seed."""

    def __init__(self, folder: ExperimentFolder) -> None:
        super().__init__(folder, arms=ARMS, baseline="SDT", seeds=UNTIL)

    def all(self) -> list[StageId]:
        """Take every stage that may run."""
        return [*iter(self._next, None)]

    def _next(self) -> StageId | None:
        stage = self.turns.take()
        return stage if isinstance(stage, StageId) else None

    def place(self, stage: StageId) -> tuple[str, int]:
        chain = self.books.ledger.chains[stage.chain]
        return chain.arm, chain.seed

    def succeed(self, stage: StageId) -> None:
        arm, seed = self.place(stage)
        gain = GAINS[min(seed, 5)] if arm == "TET" else 0.0
        write(self.path(stage), 2, of=2, **{"test/accuracy": 0.5 + gain})
        self.endings.record(stage, {"epoch": 2})

    def fail(self, stage: StageId) -> None:
        mark_failed(self.folder, stage, 1, Failure.of(FailureType.DATA, "damaged"))
        self.endings.record(stage, {"epoch": 0})

    def decided(self) -> list[StageId]:
        """Let the first five seeds succeed; return the trials of later seeds, which still run."""
        running: list[StageId] = []
        for _ in range(5):
            running += self.all()
            next_seed = min(seed for _, seed in map(self.place, running))
            for stage in [each for each in running if self.place(each)[1] == next_seed]:
                running.remove(stage)
                self.succeed(stage)
        return running

    def outcome(self) -> Outcome:
        runs = MlflowRuns("http://127.0.0.1:9", "0123", "bench", "")
        return outcome_of(
            self.books, Outbox("0123", self.books.ledger, runs, self.events, self.folder.spec, Refusals(1.0))
        )

    def said(self) -> list[AnyEvent]:
        return [EVENT.validate_json(line) for line in self.folder.events(1).read_bytes().splitlines()]


@pytest.fixture
def desk(experiment: ExperimentFolder) -> Iterator[UntilDesk]:
    made = UntilDesk(experiment)
    yield made
    made.events.close()


def test_seeds_start_in_order_and_at_most_two_ahead(desk: UntilDesk) -> None:
    first = desk.all()
    assert [desk.place(stage) for stage in first] == [(arm, seed) for seed in range(5) for arm in ("SDT", "TET")]
    assert desk.turns.take() is Answer.WAIT
    for stage in first[2:6]:  # seeds 1 and 2: seed 0 is still the next to decide
        desk.succeed(stage)
    assert desk.all() == []
    for stage in first[:2]:  # seed 3 is now the next one
        desk.succeed(stage)
    assert [desk.place(stage) for stage in desk.all()] == [("SDT", 5), ("TET", 5)]


def test_a_decision_ends_trials_in_flight_and_stops_all_later_chains(desk: UntilDesk) -> None:
    running = desk.decided()
    assert {desk.place(stage) for stage in running} == {(arm, seed) for arm in ("SDT", "TET") for seed in (5, 6)}
    assert desk.all() == []
    for stage in running:  # each ends after its next epoch, without being retried
        begin(desk.path(stage)).commit(epoch=1, epochs=2, at_ms=1, metrics={"test/accuracy": 0.1}, weights_sha256="00")
        trial: dict[str, Any] = {"chain_id": stage.chain, "stage_index": stage.index}
        assert not desk.turns.goes_on(trial, {})
        desk.endings.record(stage, {"epoch": 1})
    assert desk.turns.take() is Answer.FINISHED
    assert desk.books.board.over
    reason = {f"not needed: the pairs of {arm!r} were decided by seed 4" for arm in ("SDT", "TET")}
    stopped = [each for each in desk.said() if isinstance(each, ChainChanged) and each.state is WorkState.STOPPED]
    assert {each.reason for each in stopped} == reason
    assert len({each.chain for each in stopped}) == 2 * 7
    stages = [each for each in desk.said() if isinstance(each, StageChanged) and each.state is WorkState.STOPPED]
    assert {each.chain for each in stages} == {each.chain for each in stopped}


def test_an_experiment_that_ends_by_decision_has_succeeded(desk: UntilDesk) -> None:
    for stage in desk.decided():
        desk.endings.record(stage, {"epoch": 0})
    outcome = desk.outcome()
    assert (outcome.state, outcome.reason) == (ExperimentState.SUCCEEDED, "")


def test_a_failure_that_no_decision_needs_does_not_fail_the_experiment(desk: UntilDesk) -> None:
    first = desk.all()
    for stage in first[:6]:
        desk.succeed(stage)
    beyond = desk.all()
    assert {desk.place(stage)[1] for stage in beyond} == {5}
    desk.fail(beyond[0])
    for stage in first[6:]:
        desk.succeed(stage)
    for stage in beyond[1:]:
        desk.endings.record(stage, {"epoch": 0})
    assert desk.all() == []
    assert [chain.seed for chain in desk.books.board.failed_chains] == [5]
    assert desk.outcome().state is ExperimentState.SUCCEEDED


def test_a_failure_that_blocks_a_pair_fails_the_experiment(desk: UntilDesk) -> None:
    running = desk.all()
    desk.fail(running.pop(3))
    while running:
        desk.succeed(running.pop())
        running += desk.all()
    outcome = desk.outcome()
    assert outcome.state is ExperimentState.FAILED
    assert outcome.reason == "1 of 24 chains failed: TET · seed 1"
    assert not desk.folder.decided.exists()

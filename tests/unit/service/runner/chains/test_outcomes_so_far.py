"""Tests of the outcomes of chains from the ledger, and of the answer that is computed from them."""

from collections.abc import Iterator

import pytest

from service.failures import Failure, FailureType
from service.plan import Chain, plan
from service.results.answering import answer_of
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.chains.outcomes_so_far import outcomes_so_far
from service.runner.tuning.early_ends import mark_failed
from service.spec import parse
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.conftest import ARMS
from tests.unit.service.runner.writing import begin, write
from tests.unit.service.spec.test_spec import spec

SPEC = parse(spec(arms=ARMS, seeds=[0, 1]))
COUNTS = {"num_test": 355, "num_classes": 10, "num_test_majority": 37}


@pytest.fixture
def ledger(experiment: ExperimentFolder) -> Iterator[Ledger]:
    """Return a ledger: both arms have ended at seed 0; at seed 1, SDT has failed and TIT has not started."""
    chains = {(chain.arm, chain.seed): chain for chain in plan(SPEC)}
    attempt = begin(experiment.stage(chains["SDT", 0].id, 0), counts=COUNTS)
    for epoch in (1, 2, 3):
        metrics = {"test/accuracy": epoch / 10, "test/loss": 1.0, "epoch_time_s": 2.0}
        attempt.commit(epoch=epoch, epochs=3, at_ms=epoch, metrics=metrics, weights_sha256="01")
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=9)
    write(experiment.stage(chains["TIT", 0].id, 0), 2, of=2, **{"test/accuracy": 0.9})
    write(experiment.stage(chains["TIT", 0].id, 1), 1, of=1, **{"test/accuracy": 0.5})
    mark_failed(experiment, StageId(chains["SDT", 1].id, 0), 1, Failure.of(FailureType.DATA, "no data"))
    experiment.driver(1).mkdir(parents=True)
    events = EventFile(experiment.events(1))
    yield Ledger(experiment, chains.values(), events)
    events.close()


def chain_of(ledger: Ledger, arm: str, seed: int) -> Chain:
    return next(chain for chain in ledger.chains.values() if (chain.arm, chain.seed) == (arm, seed))


def test_the_last_train_stage_of_a_succeeded_chain_has_the_metrics(ledger: Ledger) -> None:
    outcomes = {outcome.id: outcome for outcome in outcomes_so_far(ledger)}
    tit = outcomes[chain_of(ledger, "TIT", 0).id]
    assert tit.state == WorkState.SUCCEEDED
    assert [dict(stage.metrics) for stage in tit.stages] == [{}, {"test/accuracy": 0.5}]
    assert [stage.train_time_s for stage in tit.stages] == [4.0, 2.0]
    failed = outcomes[chain_of(ledger, "SDT", 1).id]
    assert (failed.state, failed.stages[0].failure and failed.stages[0].failure["type"]) == (WorkState.FAILED, "data")
    assert outcomes[chain_of(ledger, "TIT", 1).id].state == WorkState.WAITING


def test_the_answer_of_the_ledger_has_the_means_the_difference_and_what_is_missing(ledger: Ledger) -> None:
    answer = answer_of(SPEC, outcomes_so_far(ledger))
    sdt, tit = answer.arms
    assert [sdt.mean, tit.mean] == pytest.approx([0.3, 0.5])
    assert sdt.num_failed == 1
    assert sdt.chance is not None
    assert tit.versus_baseline is not None
    assert tit.versus_baseline.difference == pytest.approx(0.2)
    (verdict,) = answer.verdicts
    assert verdict.startswith("TIT against SDT is undecided: one seed does not show")
    assert answer.notes[0] == verdict
    assert any("SDT: of 2 seeds, 1 failed" in note for note in answer.notes)

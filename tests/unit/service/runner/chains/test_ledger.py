"""Tests of the ledger: the states of stages and chains, and their events."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.curves import from_text, unpacked
from service.events import EVENT, AnyEvent, ChainChanged, ClassCounts, StageChanged, StageCurved
from service.failures import Failure, FailureType
from service.plan import Chain
from service.runner.chains.board import StageId
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.commits.attempt import Attempt
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.writing import begin, write

FAILURE = Failure.of(FailureType.NOT_FINITE, "the loss is nan", kind="FloatingPointError")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def events(path: Path) -> Iterator[EventFile]:
    file = EventFile(path)
    yield file
    file.close()


def read_events(path: Path) -> list[AnyEvent]:
    return [EVENT.validate_json(line) for line in path.read_bytes().splitlines()]


def test_a_new_ledger_has_the_commits_of_earlier_drivers(
    experiment: ExperimentFolder, chains: tuple[Chain, ...], events: EventFile
) -> None:
    sdt, tit = chains
    write(experiment.stage(tit.id, 0), 2, of=2)
    write(experiment.stage(sdt.id, 0), 1, of=3)
    ledger = Ledger(experiment, chains, events)
    assert ledger.stages() == [StageId(sdt.id, 0), StageId(tit.id, 0), StageId(tit.id, 1)]
    assert (ledger.done_stages(sdt), ledger.done_stages(tit)) == (0, 1)
    assert (ledger.chain_state(sdt), ledger.chain_state(tit)) == (WorkState.RUNNING, WorkState.RUNNING)


def test_the_state_of_a_chain_follows_from_its_stages(
    experiment: ExperimentFolder, chains: tuple[Chain, ...], events: EventFile
) -> None:
    sdt, tit = chains
    ledger = Ledger(experiment, chains, events)
    assert ledger.chain_state(tit) is WorkState.WAITING
    begin(experiment.stage(tit.id, 0))
    ledger.refresh(StageId(tit.id, 0))
    assert ledger.chain_state(tit) is WorkState.RUNNING
    for index, epochs in enumerate((2, 1)):
        write(experiment.stage(tit.id, index), epochs, of=epochs)
        ledger.refresh(StageId(tit.id, index))
    assert ledger.chain_state(tit) is WorkState.SUCCEEDED
    Attempt(experiment.stage(sdt.id, 0)).finish(state=WorkState.FAILED, at_ms=1, failure=FAILURE)
    ledger.refresh(StageId(sdt.id, 0))
    assert (ledger.chain_state(sdt), ledger.has_failed(sdt), ledger.has_failed(tit)) == (WorkState.FAILED, True, False)


def test_a_refresh_reads_new_commits(
    experiment: ExperimentFolder, chains: tuple[Chain, ...], events: EventFile
) -> None:
    stage, folder = StageId(chains[0].id, 0), experiment.stage(chains[0].id, 0)
    ledger = Ledger(experiment, chains, events)
    attempt = begin(folder)
    for epoch in (1, 2, 3):
        attempt.commit(epoch=epoch, epochs=3, at_ms=epoch, metrics={"epoch_time_s": 2.0}, weights_sha256="00")
        assert len(ledger.progress(stage).commits) == epoch - 1
        assert [commit.epoch for commit in ledger.refresh(stage).commits] == list(range(1, epoch + 1))
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=9)
    progress = ledger.refresh(stage)
    assert progress.done is not None
    assert (len(progress.commits), progress.num_attempts, progress.train_time_s) == (3, 1, 6.0)
    assert ledger.refresh(stage) == progress


def test_a_stage_is_announced_with_all_fields(
    experiment: ExperimentFolder, chains: tuple[Chain, ...], events: EventFile, path: Path
) -> None:
    stage = StageId(chains[0].id, 0)
    begin(experiment.stage(stage.chain, 0), "the first start")  # lost before its first epoch
    write(experiment.stage(stage.chain, 0), 2, of=3)
    ledger = Ledger(experiment, chains, events)
    ledger.announce(stage, WorkState.RUNNING)
    (event,) = read_events(path)
    assert isinstance(event, StageChanged)
    assert (event.state, event.epoch, event.attempts) == (WorkState.RUNNING, 2, 2)
    assert (event.initial_sha256, event.weights_sha256, event.train_time_s) == ("the first start", "02", 4.0)
    assert event.metrics["test/accuracy"] == 0.5


def test_the_end_on_storage_replaces_the_announced_state(
    experiment: ExperimentFolder, chains: tuple[Chain, ...], events: EventFile, path: Path
) -> None:
    stage = StageId(chains[0].id, 0)
    ledger = Ledger(experiment, chains, events)
    Attempt(experiment.stage(stage.chain, 0)).finish(state=WorkState.FAILED, at_ms=1, failure=FAILURE)
    ledger.announce(stage, WorkState.RUNNING)
    (event,) = read_events(path)
    assert isinstance(event, StageChanged)
    assert (event.state, event.failure) == (WorkState.FAILED, FAILURE)


def test_a_metric_that_is_not_finite_is_not_announced(
    experiment: ExperimentFolder, chains: tuple[Chain, ...], events: EventFile, path: Path
) -> None:
    write(experiment.stage(chains[0].id, 0), 1, of=3, **{"test/loss": float("nan"), "test/loss_sdt": float("inf")})
    Ledger(experiment, chains, events).announce(StageId(chains[0].id, 0), WorkState.RUNNING)
    (event,) = read_events(path)
    assert isinstance(event, StageChanged)
    assert event.metrics.keys().isdisjoint({"test/loss", "test/loss_sdt"})
    assert "test/accuracy" in event.metrics


def test_a_new_driver_announces_only_stages_and_chains_that_have_started(
    experiment: ExperimentFolder, chains: tuple[Chain, ...], events: EventFile, path: Path
) -> None:
    tit = chains[1]
    write(experiment.stage(tit.id, 0), 2, of=2)
    Ledger(experiment, chains, events).announce_all()
    curves, stage, chain = read_events(path)
    assert isinstance(curves, StageCurved)
    assert isinstance(stage, StageChanged)
    assert isinstance(chain, ChainChanged)
    assert (curves.chain, curves.stage, curves.error) == (tit.id, 0, "")
    assert unpacked(from_text(curves.curves or "")).values["test/accuracy"] == (0.5, 0.5)
    assert (stage.chain, stage.stage, stage.state) == (tit.id, 0, WorkState.SUCCEEDED)
    assert (chain.chain, chain.state) == (tit.id, WorkState.RUNNING)


def test_the_event_of_a_stage_has_the_counts_of_its_test_set_if_an_attempt_recorded_them(
    experiment: ExperimentFolder, chains: tuple[Chain, ...], events: EventFile
) -> None:
    stage = StageId(chains[0].id, 0)
    folder = experiment.stage(stage.chain, stage.index)
    begin(folder)
    assert Ledger(experiment, chains, events).stage_event(stage, WorkState.RUNNING).test_set is None
    begin(folder, counts={"num_test": 355, "num_classes": 10, "num_test_majority": 37})
    told = Ledger(experiment, chains, events).stage_event(stage, WorkState.RUNNING)
    assert told.test_set == ClassCounts(num_samples=355, num_classes=10, num_majority=37)
    assert EVENT.validate_json(told.model_dump_json()) == told

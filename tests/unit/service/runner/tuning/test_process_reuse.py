"""Tests of the decision whether a process runs another trial."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.plan import plan
from service.runner.chains.board import StageId
from service.runner.chains.bookkeeping import Bookkeeping, open_books
from service.runner.chains.event_file import EventFile
from service.runner.chains.journal import PairJournal, StudyJournal
from service.runner.chains.ledger import Ledger
from service.runner.chains.referee import Referee
from service.runner.chains.resampler import Resampler
from service.runner.chains.study import Study
from service.runner.trial.common import report
from service.runner.trial.config import TrialEnd
from service.runner.tuning.process_reuse import ProcessReuse
from service.spec import parse
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.writing import METRICS, begin
from tests.unit.service.spec.test_spec import spec

SUCCEEDED = report(20, end=TrialEnd.SUCCEEDED)

SHAPE = {"num_classes": 2, "in_channels": 1, "input_size": 8}
NewBooks = Callable[..., tuple[Bookkeeping, ProcessReuse]]


@pytest.fixture
def new(experiment: ExperimentFolder, tmp_path: Path) -> Iterator[NewBooks]:
    events = EventFile(tmp_path / "events.jsonl")

    def make(resources: dict[str, Any] | None = None, **changes: Any) -> tuple[Bookkeeping, ProcessReuse]:
        described = parse(spec(**changes) | {"resources": {"cpus_per_trial": 1, **(resources or {})}})
        ledger = Ledger(experiment, plan(described), events)
        study = Study(described, ledger, StudyJournal(experiment.search))
        referee = Referee(described, ledger, PairJournal(experiment.decided))
        books = open_books(described, ledger, study, referee, Resampler(described, ledger, experiment, events))
        return books, ProcessReuse(described.resources, books)

    yield make
    events.close()


def run_first(folder: ExperimentFolder, books: Bookkeeping, seconds: float) -> None:
    """Run the first stage that the board offers; it takes so long."""
    stage = books.board.take()
    assert isinstance(stage, StageId)
    chain = books.ledger.chains[stage.chain]
    attempt, epochs = begin(folder.stage(stage.chain, stage.index)), chain.stages[stage.index].epochs
    for epoch in range(1, epochs + 1):
        at_ms = 1_000 + round(1_000 * seconds * epoch / epochs)
        attempt.commit(epoch=epoch, epochs=epochs, at_ms=at_ms, metrics=METRICS, weights_sha256="01")
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=10**9)
    books.ledger.refresh(stage)
    books.costs.ended(stage)
    books.board.succeeded(stage)


@pytest.mark.parametrize(
    ("mode", "seconds", "expected"),
    [("auto", 20, True), ("auto", 299, True), ("auto", 301, False), (True, 9_000, True), (False, 20, False)],
)
def test_auto_uses_a_process_again_if_stages_are_short(
    experiment: ExperimentFolder, new: NewBooks, mode: bool | str, seconds: float, expected: bool
) -> None:
    books, reuse = new({"reuse_actors": mode})
    run_first(experiment, books, seconds)
    assert reuse.is_wanted(SUCCEEDED) is expected


@pytest.mark.parametrize(
    "last",
    [report(0, end=TrialEnd.FAILED), report(0, end=TrialEnd.LOST), SUCCEEDED | {"wear": "2 threads have not ended"}],
)
def test_a_process_that_failed_or_is_worn_is_never_used_again(new: NewBooks, last: dict[str, Any]) -> None:
    for mode in ("auto", True):
        _, reuse = new({"reuse_actors": mode})
        assert reuse.is_wanted(SUCCEEDED)
        assert not reuse.is_wanted(last)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"resources": {"workers_per_trial": 2}}, False),
        ({"model": {"name": "entry_point", "entry_point": "mine"}}, False),
        ({"dataset": {"name": "entry_point", "entry_point": "mine", **SHAPE}}, False),
    ],
)
def test_auto_never_uses_the_process_of_unknown_code_or_of_several_workers_again(
    new: NewBooks, changes: dict[str, Any], expected: bool
) -> None:
    _, reuse = new(**changes)
    assert reuse.is_possible is expected

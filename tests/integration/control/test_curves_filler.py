"""Tests of curves: from a driver's events, and from the storage of experiments that an earlier version ran."""

from typing import Any

import pytest

from service.chain_outcomes import CurvesOfStage
from service.control.curves_filler import CurvesFiller
from service.control.filler import RETRY_S
from service.control.ingest import ingest
from service.control.resampling_filler import ResamplingFiller
from service.curves import as_text, stored_points
from service.events import StageCurved
from service.reasons import NO_REASON
from service.states import Cleanup, ExperimentState, WorkState
from tests.integration.control.conftest import Desk
from tests.integration.control.test_housekeeper import ended
from tests.unit.service.runner.writing import write


def stored(desk: Desk, experiment: str) -> list[CurvesOfStage]:
    with desk.database.reading() as repository:
        return list(repository.curves.of(experiment))


def to_fill(desk: Desk) -> list[str]:
    with desk.database.reading() as repository:
        return repository.curves.to_fill(10)


def succeed(desk: Desk, experiment: str, chain: str, index: int = 0) -> None:
    with desk.database.session() as repository:
        stage = repository.work.stage(experiment, chain, index)
        assert stage is not None
        stage.state, stage.epoch = WorkState.SUCCEEDED, 2


def of_a_driver(desk: Desk, experiment: str, **changes: Any) -> StageCurved:
    chain = desk.first_chain(experiment)
    folder = desk.folder(experiment).stage(chain, 0)
    if not folder.path.exists():
        write(folder, 2, of=2)
    values = {"chain": chain, "stage": 0, "curves": as_text("train", stored_points(folder)), **changes}
    return StageCurved.model_validate(values)


def test_the_curves_of_an_event_are_stored_once_and_clients_do_not_see_the_event(desk: Desk) -> None:
    experiment = desk.post()
    desk.run(experiment)
    ingest(desk.database, desk.folder(experiment))
    with desk.database.reading() as repository:
        before = len(repository.events.list_after(experiment))
    for _ in range(2):
        desk.say(experiment, of_a_driver(desk, experiment))
        ingest(desk.database, desk.folder(experiment))
    (found,) = stored(desk, experiment)
    assert found.curves is not None
    assert (found.index, found.kind, found.T, found.error) == (0, "train", 4, "")
    assert found.curves.values["test/accuracy"] == (0.5, 0.5)
    with desk.database.reading() as repository:
        assert len(repository.events.list_after(experiment)) == before


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"curves": None, "error": "KeyError: 'x'"}, "KeyError: 'x'"),
        ({"curves": "AAAA"}, "ValueError: damaged curves"),
        ({"curves": "?"}, "Error: "),
    ],
)
def test_curves_that_failed_or_are_damaged_leave_their_error(desk: Desk, changes: dict[str, Any], error: str) -> None:
    experiment = desk.post()
    desk.run(experiment)
    desk.say(experiment, of_a_driver(desk, experiment, **changes))
    ingest(desk.database, desk.folder(experiment))
    (found,) = stored(desk, experiment)
    assert found.curves is None
    assert error in found.error


def test_curves_of_an_unknown_stage_are_left_out(desk: Desk) -> None:
    experiment = desk.post()
    desk.run(experiment)
    desk.say(experiment, of_a_driver(desk, experiment, chain="nobody"))
    ingest(desk.database, desk.folder(experiment))
    assert stored(desk, experiment) == []


def test_curves_of_ended_experiments_are_filled_in_from_storage_once(desk: Desk) -> None:
    experiment, running = ended(desk), desk.post()
    chain = desk.first_chain(experiment)
    write(desk.folder(experiment).stage(chain, 0), 2, of=2, **{"test/accuracy": 0.75})
    succeed(desk, experiment, chain)
    filler = CurvesFiller(desk.database, desk.settings)
    assert to_fill(desk) == [experiment]
    filler.round()
    (found,) = stored(desk, experiment)
    assert found.curves is not None
    assert found.curves.summary == {"test/accuracy_best_test_epoch": 0.75}
    assert (to_fill(desk), stored(desk, running)) == ([], [])
    filler.round()
    assert len(stored(desk, experiment)) == 1


def test_an_experiment_without_files_says_so(desk: Desk) -> None:
    experiment = ended(desk, ExperimentState.FAILED)
    succeed(desk, experiment, desk.first_chain(experiment))
    CurvesFiller(desk.database, desk.settings).round()
    (found,) = stored(desk, experiment)
    assert (found.curves, found.error) == (None, "its files are gone")
    assert to_fill(desk) == []


def test_what_a_retry_leaves_out_is_looked_for_again(desk: Desk) -> None:
    experiment = ended(desk, ExperimentState.FAILED)
    fillers = CurvesFiller(desk.database, desk.settings), ResamplingFiller(desk.database, desk.settings)

    def waiting() -> list[list[str]]:
        with desk.database.reading() as repository:
            return [repository.curves.to_fill(10), repository.resampled.to_fill(10)]

    assert waiting() == [[experiment], [experiment]]
    for filler in fillers:
        filler.round()
    assert waiting() == [[], []]
    with desk.database.session() as repository:
        repository.requests.retry(experiment)
    assert waiting() == [[], []], "it has not ended"
    with desk.database.session() as repository:
        repository.transitions.advance(experiment, ExperimentState.QUEUED, ExperimentState.FAILED, reason=NO_REASON)
    assert waiting() == [[experiment], [experiment]]


def test_a_storage_that_is_not_there_is_asked_again_later_and_nothing_is_noted(desk: Desk) -> None:
    experiment = ended(desk)
    chain = desk.first_chain(experiment)
    write(desk.folder(experiment).stage(chain, 0), 2, of=2)
    succeed(desk, experiment, chain)
    away = desk.settings.storage.rename(desk.settings.storage.with_name("away"))
    now = 100.0
    filler = CurvesFiller(desk.database, desk.settings, lambda: now)
    filler.round()
    assert (to_fill(desk), stored(desk, experiment)) == ([experiment], [])
    away.rename(desk.settings.storage)
    filler.round()
    assert stored(desk, experiment) == [], "its time has not come"
    now += RETRY_S
    filler.round()
    (found,) = stored(desk, experiment)
    assert (found.curves is not None, found.error, to_fill(desk)) == (True, "", [])


def test_curves_that_a_driver_could_not_state_are_read_when_the_experiment_has_ended(desk: Desk) -> None:
    experiment = ended(desk)
    chain = desk.first_chain(experiment)
    write(desk.folder(experiment).stage(chain, 0), 2, of=2)
    succeed(desk, experiment, chain)
    with desk.database.session() as repository:
        repository.curves.put(experiment, chain, 0, None, "OSError: stale file handle")
    CurvesFiller(desk.database, desk.settings).round()
    (found,) = stored(desk, experiment)
    assert (found.curves is not None, found.error) == (True, "")


def test_an_experiment_that_cannot_be_filled_in_keeps_no_other_one_waiting(desk: Desk) -> None:
    broken, other = ended(desk), ended(desk)
    with desk.database.session() as repository:
        repository.requests.remove(broken, Cleanup.EVERYTHING)
    ResamplingFiller(desk.database, desk.settings).round()
    with desk.database.reading() as repository:
        assert repository.experiments.get(other).has_resampled


def test_a_generation_that_has_begun_meanwhile_is_filled_in_again(desk: Desk) -> None:
    experiment_id = ended(desk, ExperimentState.FAILED)
    with desk.database.session() as repository:
        repository.curves.filled(experiment_id, 2)
        repository.resampled.filled(experiment_id, 2)
        repository.thinning.done(experiment_id, 2)
        row = repository.experiments.get(experiment_id)
        assert (row.has_curves, row.has_resampled, row.is_stream_thinned) == (False, False, False)
        repository.curves.filled(experiment_id, 1)
        repository.resampled.filled(experiment_id, 1)
        repository.thinning.done(experiment_id, 1)
    with desk.database.reading() as repository:
        row = repository.experiments.get(experiment_id)
        assert (row.has_curves, row.has_resampled, row.is_stream_thinned) == (True, True, True)

"""Tests of changes of state, of requests, and of experiments after their end."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from service.errors import Conflict, NotFound
from service.events import utc_now
from service.plan import chain_id, plan
from service.reasons import failed
from service.spec import parse
from service.states import Cleanup, ExperimentState, Wanted, WorkState
from service.store.database import Database
from service.store.tables import ChainRow, StageRow
from tests.unit.service.spec.test_spec import spec

S = ExperimentState
# Written by hand, not taken from the code: queued -> starting -> running -> (pausing -> paused -> queued) -> an end.
# In addition, a lost driver is followed by another one, and an end may be read in any state.
ENDS = {S.SUCCEEDED, S.FAILED, S.CANCELLED}
FOLLOWS = {
    S.QUEUED: {S.QUEUED, S.STARTING, S.PAUSED} | ENDS,
    S.STARTING: {S.STARTING, S.RUNNING, S.PAUSING, S.PAUSED} | ENDS,
    S.RUNNING: {S.RUNNING, S.STARTING, S.PAUSING, S.PAUSED} | ENDS,
    S.PAUSING: {S.PAUSING, S.PAUSED, S.QUEUED} | ENDS,
    S.PAUSED: {S.PAUSED, S.QUEUED} | ENDS,
    **{end: set() for end in ENDS},
}


def create(database: Database, **changes: Any) -> str:
    parsed = parse(spec(**changes))
    with database.session() as repository:
        return repository.experiments.create(parsed, plan(parsed)).id


def put(database: Database, experiment_id: str, state: ExperimentState) -> None:
    """Put an experiment into a state, even if the table of transitions does not allow it."""
    with database.session() as repository:
        repository.experiments.get(experiment_id).state = state


def end(database: Database, experiment_id: str, state: ExperimentState) -> None:
    with database.session() as repository:
        before = S(repository.experiments.get(experiment_id).state)
        assert repository.transitions.advance(experiment_id, before, state, reason=failed("because"))


@pytest.mark.parametrize(("before", "after"), list(product(S, S)), ids=lambda state: str(state))
def test_each_change_of_state_is_accepted_or_refused(sqlite: Database, before: S, after: S) -> None:
    experiment_id = create(sqlite)
    put(sqlite, experiment_id, before)
    with sqlite.session() as repository:
        if after in FOLLOWS[before]:
            assert repository.transitions.advance(experiment_id, before, after)
        else:
            with pytest.raises(AssertionError, match=f"^{before} -> {after}$"):
                repository.transitions.advance(experiment_id, before, after)
    with sqlite.reading() as repository:
        row = repository.experiments.get(experiment_id)
    assert row.state == (after if after in FOLLOWS[before] else before)
    assert (row.finished_at is not None) == (after in ENDS and after in FOLLOWS[before])


@pytest.mark.parametrize("wanted", Wanted)
@pytest.mark.parametrize("state", S, ids=lambda state: str(state))
def test_each_request_is_accepted_until_the_end_and_refused_after_it(
    sqlite: Database, state: S, wanted: Wanted
) -> None:
    experiment_id = create(sqlite)
    put(sqlite, experiment_id, state)
    with sqlite.session() as repository:
        if state not in ENDS or (state, wanted) == (S.CANCELLED, Wanted.CANCEL):
            assert repository.requests.want(experiment_id, wanted).wanted == wanted
        else:
            done_to = {"run": "resumed", "pause": "paused", "cancel": "cancelled"}[wanted]
            with pytest.raises(Conflict, match=f"(has|is) {state} and cannot be {done_to}$"):
                repository.requests.want(experiment_id, wanted)


@pytest.mark.parametrize("state", S, ids=lambda state: str(state))
def test_only_a_failed_or_cancelled_experiment_is_retried(sqlite: Database, state: S) -> None:
    experiment_id = create(sqlite)
    if state in ENDS:
        end(sqlite, experiment_id, state)
    else:
        put(sqlite, experiment_id, state)
    with sqlite.session() as repository:
        if state in (S.FAILED, S.CANCELLED):
            assert repository.requests.retry(experiment_id).state == "queued"
        else:
            with pytest.raises(Conflict, match="only a failed or cancelled experiment can be retried"):
                repository.requests.retry(experiment_id)


def work(database: Database, experiment_id: str) -> dict[tuple[str, int], tuple[str, Any]]:
    with database.reading() as repository:
        chains = repository.work.chains(experiment_id)
    return {(c.arm, c.seed): (c.state, [(s.state, s.epoch, s.failure) for s in c.stages]) for c in chains}


def test_a_new_generation_runs_only_unfinished_stages_again(database: Database) -> None:
    experiment_id = create(database)
    failed, done = chain_id("TIT", 0, {}), chain_id("SDT", 1, {})
    with database.session() as repository:
        for chain, index, state, epoch in (
            (failed, 0, "succeeded", 20),
            (failed, 1, "failed", 3),
            (done, 0, "succeeded", 20),
        ):
            row = repository.work.stage(experiment_id, chain, index)
            assert row is not None
            row.state, row.epoch, row.failure = state, epoch, {"kind": "X"} if state == "failed" else None
        for chain, state in ((failed, "failed"), (done, "succeeded")):
            found = repository.work.chain(experiment_id, chain)
            assert found is not None
            found.state = state
        repository.work.end_unfinished(experiment_id, WorkState.CANCELLED)
    end(database, experiment_id, S.FAILED)
    before = work(database, experiment_id)
    with database.session() as repository:
        again = repository.requests.retry(experiment_id)
        assert (again.state, again.wanted, again.generation, again.finished_at) == ("queued", "run", 2, None)
    with database.session() as repository:
        assert repository.requests.retry(experiment_id).generation == 2, "requested again before it has started"
        (past,) = repository.experiments.outcomes(experiment_id)
    assert (past.generation, past.state, past.reason) == (1, "failed", "because")
    after = work(database, experiment_id)
    assert after["SDT", 1] == before["SDT", 1]
    assert after["TIT", 0] == ("waiting", [("succeeded", 20, None), ("waiting", 3, None)])
    assert {state for key, (state, _) in after.items() if key not in (("SDT", 1), ("TIT", 0))} == {"waiting"}


def test_a_parent_cannot_be_removed_before_its_forks(database: Database) -> None:
    parent = create(database)
    start = {"experiment": parent, "arm": "SDT", "stage": 0, "epochs": 20}
    arm = {**spec()["arms"][0], "start": start}
    child = create(database, arms=[arm], baseline="SDT")
    end(database, parent, S.SUCCEEDED)
    for what in (Cleanup.EVERYTHING, Cleanup.CHECKPOINTS):
        with database.session() as repository, pytest.raises(Conflict, match=f"because {child} started from it"):
            repository.requests.remove(parent, what)
    # Even a direct deletion fails: a foreign key protects the row.
    with pytest.raises(IntegrityError), database.session() as repository:
        repository.upkeep.delete(parent)
    with database.session() as repository:
        repository.upkeep.delete(child)
        repository.requests.remove(parent, Cleanup.EVERYTHING)
    with database.reading() as repository:
        with pytest.raises(NotFound, match="there is no experiment"):
            repository.experiments.get(parent)
        assert repository.experiments.page(limit=10) == []
        assert [row.id for row in repository.upkeep.to_clean()] == [parent]


def test_an_experiment_that_has_not_ended_cannot_be_removed(database: Database) -> None:
    experiment_id = create(database)
    with database.session() as repository, pytest.raises(Conflict, match="is queued: cancel it, and remove it once"):
        repository.requests.remove(experiment_id, Cleanup.EVERYTHING)


def test_deleting_an_experiment_leaves_no_row_of_it(database: Database) -> None:
    experiment_id, other = create(database), create(database)
    with database.session() as repository:
        repository.event_offsets.move(experiment_id, 1, 0, 10)
        repository.verifications.add(experiment_id, chain_id("SDT", 0, {}), 0)
        repository.upkeep.delete(experiment_id)
    with database.engine.connect() as connection:
        columns = ChainRow.experiment_id, StageRow.experiment_id
        assert [set(connection.scalars(select(column))) for column in columns] == [{other}, {other}]
    with database.reading() as repository:
        assert repository.events.list_after(experiment_id) == []
        assert repository.verifications.list_after(experiment_id) == []


@pytest.mark.parametrize(
    ("state", "checkpoints", "cleanup"),
    [
        (S.SUCCEEDED, "best_and_last", None),
        (S.SUCCEEDED, "last", "best"),
        (S.SUCCEEDED, "none", "checkpoints"),
        (S.FAILED, "none", None),  # it may be retried, which needs its checkpoints
    ],
)
def test_the_end_stores_what_is_removed_and_when(
    sqlite: Database, state: S, checkpoints: str, cleanup: str | None
) -> None:
    experiment_id = create(sqlite, retention={"checkpoints": checkpoints, "delete_after_days": 2})
    end(sqlite, experiment_id, state)
    with sqlite.reading() as repository:
        row = repository.experiments.get(experiment_id)
        assert row.cleanup == cleanup
        assert row.finished_at is not None
        assert row.delete_at == row.finished_at + timedelta(days=2)
        assert repository.upkeep.expired(utc_now()) == []
        assert repository.upkeep.expired(utc_now() + timedelta(days=3)) == ([experiment_id] if cleanup is None else [])


def test_a_second_request_for_an_open_replay_changes_nothing(database: Database) -> None:
    experiment_id, chain = create(database), chain_id("SDT", 0, {})
    with database.session() as repository:
        first = repository.verifications.add(experiment_id, chain, 0)
        assert repository.verifications.add(experiment_id, chain, 0).number == first.number == 1
        first.state = "equal"
        assert repository.verifications.add(experiment_id, chain, 0).number == 2
        assert [row.number for row in repository.verifications.list_open()] == [2]
        assert [row.number for row in repository.verifications.list_after(experiment_id, 1)] == [2]
        with pytest.raises(NotFound, match="has no verification 3"):
            repository.verifications.get(experiment_id, 3)


def test_a_new_generation_that_is_cancelled_before_its_start_is_not_retried(sqlite: Database) -> None:
    experiment = create(sqlite)
    end(sqlite, experiment, S.FAILED)
    with sqlite.session() as repository:
        repository.requests.retry(experiment)
        repository.requests.want(experiment, Wanted.CANCEL)
    with sqlite.session() as repository, pytest.raises(Conflict, match="is being cancelled: only a failed"):
        repository.requests.retry(experiment)


def test_queued_and_paused_experiments_do_not_count_as_running(database: Database) -> None:
    running, queued, paused = (create(database) for _ in range(3))
    put(database, running, S.RUNNING)
    put(database, paused, S.PAUSED)
    with database.session() as repository:
        assert not repository.transitions.has_room("local", running=1, running_per_owner=None)
        assert repository.transitions.has_room("local", running=2, running_per_owner=None)
        assert not repository.transitions.has_room("local", running=2, running_per_owner=1)
        assert repository.experiments.get(queued).state == S.QUEUED

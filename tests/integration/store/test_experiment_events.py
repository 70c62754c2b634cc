"""Tests of the form in which each writer stores an event of type `experiment`: clients read these keys."""

from typing import Any

from service.failures import Failure, FailureType
from service.reasons import failed
from service.states import Cleanup, ExperimentState, Wanted
from service.store.database import Database
from service.store.requests import NewResources, given
from tests.integration.store.test_repository import CHAINS, SPEC

E = ExperimentState


def create(database: Database) -> str:
    with database.session() as repository:
        return repository.experiments.create(SPEC, CHAINS).id


def newest(database: Database, experiment_id: str) -> dict[str, Any]:
    with database.reading() as repository:
        event = repository.events.list_after(experiment_id)[-1]
    assert event.type == "experiment"
    return event.data


def advance(database: Database, experiment_id: str, before: E, after: E, **changes: Any) -> None:
    with database.session() as repository:
        assert repository.transitions.advance(experiment_id, before, after, **changes)


def more_workers(database: Database, experiment_id: str) -> NewResources:
    with database.reading() as repository:
        before = given(repository.experiments.get(experiment_id).spec)
    return NewResources(before, before.model_copy(update={"workers_per_trial": 3}))


def test_a_new_experiment_has_its_state(database: Database) -> None:
    assert newest(database, create(database)) == {"state": "queued"}


def test_a_change_of_state_has_its_reason_and_a_failure_if_there_is_one(database: Database) -> None:
    experiment_id = create(database)
    advance(database, experiment_id, E.QUEUED, E.STARTING)
    assert newest(database, experiment_id) == {"state": "starting", "reason": "", "reason_kind": "none"}
    failure = Failure.of(FailureType.DATA, "a damaged image").summary.as_json()
    advance(database, experiment_id, E.STARTING, E.FAILED, reason=failed("1 failed"), failure=failure)
    assert newest(database, experiment_id) == {
        "state": "failed",
        "reason": "1 failed",
        "reason_kind": "failed",
        "failure": {"type": "data", "class": "user", "message": "a damaged image"},
    }


def test_a_request_has_what_is_wanted_and_new_resources_in_full(database: Database) -> None:
    experiment_id = create(database)
    with database.session() as repository:
        repository.requests.want(experiment_id, Wanted.PAUSE)
    assert newest(database, experiment_id) == {"state": "queued", "wanted": "pause"}
    advance(database, experiment_id, E.QUEUED, E.PAUSED)
    resources = more_workers(database, experiment_id)
    with database.session() as repository:
        repository.requests.want(experiment_id, Wanted.RUN, resources)
    in_full = resources.after.model_dump(mode="json")
    assert newest(database, experiment_id) == {"state": "paused", "wanted": "run", "resources": in_full}
    assert set(in_full) == set(type(resources.after).model_fields)


def test_a_retry_has_its_generation_and_new_resources(database: Database) -> None:
    experiment_id = create(database)
    advance(database, experiment_id, E.QUEUED, E.FAILED)
    with database.session() as repository:
        repository.requests.retry(experiment_id)
    assert newest(database, experiment_id) == {"state": "queued", "generation": 2}
    advance(database, experiment_id, E.QUEUED, E.FAILED)
    resources = more_workers(database, experiment_id)
    with database.session() as repository:
        repository.requests.retry(experiment_id, resources)
    in_full = resources.after.model_dump(mode="json")
    assert newest(database, experiment_id) == {"state": "queued", "generation": 3, "resources": in_full}


def test_a_removal_has_what_is_removed(database: Database) -> None:
    experiment_id = create(database)
    advance(database, experiment_id, E.QUEUED, E.CANCELLED)
    with database.session() as repository:
        repository.requests.remove(experiment_id, Cleanup.CHECKPOINTS)
    assert newest(database, experiment_id) == {"state": "cancelled", "cleanup": "checkpoints"}

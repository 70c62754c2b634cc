"""Tests of resuming and retrying with new resources."""

from typing import Any

import pytest
from sqlalchemy import select

from service.errors import Conflict
from service.plan import chain_id, plan
from service.spec import parse
from service.spec.blocks import Resources
from service.states import ExperimentState, Wanted
from service.store.database import Database
from service.store.requests import NewResources
from service.store.tables import ChainRow, ExperimentRow, IdempotencyKeyRow
from tests.integration.store.test_life_cycle import create, end, put
from tests.unit.service.spec.test_spec import spec

S = ExperimentState
EIGHT = Resources(workers_per_trial=8)
FOUR = NewResources(EIGHT, Resources(workers_per_trial=4))


def create_with_eight_workers(database: Database, state: ExperimentState) -> str:
    experiment_id = create(database, resources={"workers_per_trial": 8})
    put(database, experiment_id, state)
    return experiment_id


def row(database: Database, experiment_id: str) -> ExperimentRow:
    with database.reading() as repository:
        return repository.experiments.get(experiment_id)


def start_first_stage(database: Database, experiment_id: str, **stage: Any) -> None:
    """Change columns of the first stage; with `run`, set the MLflow run of the first chain."""
    with database.session() as repository:
        first = repository.work.chains(experiment_id)[0]
        if "run" in stage:
            first.mlflow_run_id = stage["run"]
        for key, value in stage.items():
            if key != "run":
                setattr(first.stages[0], key, value)


def test_a_paused_experiment_resumes_with_new_resources_and_keeps_the_earlier_ones(database: Database) -> None:
    experiment_id = create_with_eight_workers(database, S.PAUSED)
    start_first_stage(database, experiment_id, attempts=1, epoch=3)
    before = row(database, experiment_id)
    with database.session() as repository:
        repository.requests.want(experiment_id, Wanted.PAUSE)
        repository.requests.want(experiment_id, Wanted.RUN, FOUR)
    after = row(database, experiment_id)
    assert after.spec == {**before.spec, "resources": {"workers_per_trial": 4}}
    assert (after.demand["num_workers"], after.wanted) == (4, "run")
    (earlier,) = after.resources_history
    assert (earlier["resources"], earlier["generation"]) == (EIGHT.model_dump(mode="json"), 1)
    with database.reading() as repository:
        event_data = repository.events.list_after(experiment_id)[-1].data
    assert (event_data["wanted"], event_data["resources"]["workers_per_trial"]) == ("run", 4)


def test_a_second_request_changes_nothing(database: Database) -> None:
    experiment_id = create_with_eight_workers(database, S.PAUSED)
    for state in (S.PAUSED, S.QUEUED, S.RUNNING):
        put(database, experiment_id, state)
        with database.session() as repository:
            repository.requests.want(experiment_id, Wanted.RUN, FOUR)
    assert len(row(database, experiment_id).resources_history) == 1


@pytest.mark.parametrize("state", [state for state in S if state != S.PAUSED], ids=lambda state: str(state))
def test_only_a_paused_experiment_is_resumed_with_new_resources(sqlite: Database, state: S) -> None:
    experiment_id = create_with_eight_workers(sqlite, state)
    says = "cannot be resumed$" if state in (S.SUCCEEDED, S.FAILED, S.CANCELLED) else f"is {state}, .* pause it first"
    with sqlite.session() as repository, pytest.raises(Conflict, match=says):
        repository.requests.want(experiment_id, Wanted.RUN, FOUR)
    assert row(sqlite, experiment_id).spec["resources"] == {"workers_per_trial": 8}


def test_a_failed_experiment_is_retried_once_with_new_resources(database: Database) -> None:
    experiment_id = create_with_eight_workers(database, S.QUEUED)
    end(database, experiment_id, S.FAILED)
    for _ in range(2):
        with database.session() as repository:
            repository.requests.retry(experiment_id, FOUR)
    found = row(database, experiment_id)
    assert (found.generation, found.spec["resources"], found.demand["num_workers"]) == (2, {"workers_per_trial": 4}, 4)
    assert [
        (earlier["generation"], earlier["resources"]["workers_per_trial"]) for earlier in found.resources_history
    ] == [(1, 8)]
    other = NewResources(FOUR.after, Resources(workers_per_trial=2))
    with database.session() as repository, pytest.raises(Conflict, match="has already been retried with other"):
        repository.requests.retry(experiment_id, other)


@pytest.mark.parametrize("state", [S.RUNNING, S.PAUSED, S.SUCCEEDED], ids=lambda state: str(state))
def test_a_refused_retry_changes_no_resources(sqlite: Database, state: S) -> None:
    experiment_id = create_with_eight_workers(sqlite, state)
    with sqlite.session() as repository, pytest.raises(Conflict, match="only a failed or cancelled"):
        repository.requests.retry(experiment_id, FOUR)
    assert row(sqlite, experiment_id).resources_history == []


def test_of_two_simultaneous_changes_of_resources_the_second_is_refused(sqlite: Database) -> None:
    experiment_id = create_with_eight_workers(sqlite, S.PAUSED)
    for other in (FOUR, NewResources(EIGHT, Resources(workers_per_trial=2))):
        with sqlite.session() as repository:
            if other is FOUR:
                repository.requests.want(experiment_id, Wanted.RUN, other)
            else:
                with pytest.raises(Conflict, match="were changed meanwhile"):
                    repository.requests.want(experiment_id, Wanted.RUN, other)
    assert row(sqlite, experiment_id).spec["resources"] == {"workers_per_trial": 4}


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (
            {"cpus_per_trial": 2},
            "has started, so cpus_per_trial stays 1 (its results depend on the number of threads)",
        ),
        ({"gpus_per_trial": 1}, "has started, so gpus_per_trial stays 0 (its results depend on the device)"),
    ],
)
@pytest.mark.parametrize("started", [{"attempts": 1}, {"epoch": 1}, {"mlflow_run_id": "r"}, {"run": "r"}, {}])
def test_threads_and_device_change_only_before_the_first_stage_has_started(
    database: Database, started: dict[str, Any], after: dict[str, Any], says: str
) -> None:
    experiment_id = create_with_eight_workers(database, S.PAUSED)
    start_first_stage(database, experiment_id, **started)
    new = NewResources(EIGHT, Resources(workers_per_trial=8, **after))
    with database.session() as repository:
        if started:
            with pytest.raises(Conflict) as caught:
                repository.requests.want(experiment_id, Wanted.RUN, new)
            assert says in str(caught.value)
        else:
            repository.requests.want(experiment_id, Wanted.RUN, new)
    assert len(row(database, experiment_id).resources_history) == (not started)


def test_new_resources_change_neither_chain_ids_nor_the_meaning_of_a_key(database: Database) -> None:
    parsed = parse(spec(resources={"workers_per_trial": 8}))
    with database.session() as repository:
        experiment_id = repository.experiments.create(
            parsed, plan(parsed), idempotency_key="k", body_sha256="digest of what was posted"
        ).id
    put(database, experiment_id, S.PAUSED)
    with database.session() as repository:
        repository.requests.want(experiment_id, Wanted.RUN, FOUR)
        assert (
            repository.experiments.create(
                parsed, plan(parsed), idempotency_key="k", body_sha256="digest of what was posted"
            ).id
            == experiment_id
        )
    with database.engine.connect() as connection:
        keys = connection.scalars(select(IdempotencyKeyRow.body_sha256)).all()
        ids = connection.scalars(select(ChainRow.id).order_by(ChainRow.position)).all()
    assert keys == ["digest of what was posted"]
    assert list(ids) == [chain.id for chain in plan(parse(row(database, experiment_id).spec))]
    assert chain_id("SDT", 0, {}) in ids

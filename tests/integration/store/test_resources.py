"""Going on with other resources: what is taken, what is kept, and what is refused."""

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


def of_eight(database: Database, state: ExperimentState) -> str:
    experiment_id = create(database, resources={"workers_per_trial": 8})
    put(database, experiment_id, state)
    return experiment_id


def row(database: Database, experiment_id: str) -> ExperimentRow:
    with database.reading() as repository:
        return repository.experiments.get(experiment_id)


def begin(database: Database, experiment_id: str, **stage: Any) -> None:
    """A stage, or with `run` a chain, of which there is something."""
    with database.session() as repository:
        first = repository.work.chains(experiment_id)[0]
        if "run" in stage:
            first.mlflow_run_id = stage["run"]
        for key, value in stage.items():
            if key != "run":
                setattr(first.stages[0], key, value)


def test_what_is_paused_goes_on_with_others_and_keeps_what_it_had(database: Database) -> None:
    experiment_id = of_eight(database, S.PAUSED)
    begin(database, experiment_id, attempts=1, epoch=3)
    before = row(database, experiment_id)
    with database.session() as repository:
        repository.requests.want(experiment_id, Wanted.PAUSE)
        repository.requests.want(experiment_id, Wanted.RUN, FOUR)
    after = row(database, experiment_id)
    assert after.spec == {**before.spec, "resources": {"workers_per_trial": 4}}
    assert (after.demand["num_workers"], after.wanted) == (4, "run")
    (held,) = after.resources_history
    assert (held["resources"], held["generation"]) == (EIGHT.model_dump(mode="json"), 1)
    with database.reading() as repository:
        told = repository.events.after(experiment_id)[-1].data
    assert (told["wanted"], told["resources"]["workers_per_trial"]) == ("run", 4)


def test_to_ask_twice_is_to_ask_once(database: Database) -> None:
    experiment_id = of_eight(database, S.PAUSED)
    for state in (S.PAUSED, S.QUEUED, S.RUNNING):
        put(database, experiment_id, state)
        with database.session() as repository:
            repository.requests.want(experiment_id, Wanted.RUN, FOUR)
    assert len(row(database, experiment_id).resources_history) == 1


@pytest.mark.parametrize("state", [state for state in S if state != S.PAUSED], ids=lambda state: str(state))
def test_only_what_is_paused_is_resumed_with_others(sqlite: Database, state: S) -> None:
    experiment_id = of_eight(sqlite, state)
    says = "cannot be resumed$" if state in (S.SUCCEEDED, S.FAILED, S.CANCELLED) else f"is {state}, .* pause it first"
    with sqlite.session() as repository, pytest.raises(Conflict, match=says):
        repository.requests.want(experiment_id, Wanted.RUN, FOUR)
    assert row(sqlite, experiment_id).spec["resources"] == {"workers_per_trial": 8}


def test_what_failed_is_retried_with_others_once(database: Database) -> None:
    experiment_id = of_eight(database, S.QUEUED)
    end(database, experiment_id, S.FAILED)
    for _ in range(2):
        with database.session() as repository:
            repository.requests.retry(experiment_id, FOUR)
    found = row(database, experiment_id)
    assert (found.generation, found.spec["resources"], found.demand["num_workers"]) == (2, {"workers_per_trial": 4}, 4)
    assert [(held["generation"], held["resources"]["workers_per_trial"]) for held in found.resources_history] == [
        (1, 8)
    ]
    other = NewResources(FOUR.after, Resources(workers_per_trial=2))
    with database.session() as repository, pytest.raises(Conflict, match="has been retried already, with other"):
        repository.requests.retry(experiment_id, other)


@pytest.mark.parametrize("state", [S.RUNNING, S.PAUSED, S.SUCCEEDED], ids=lambda state: str(state))
def test_what_is_not_retried_keeps_its_resources(sqlite: Database, state: S) -> None:
    experiment_id = of_eight(sqlite, state)
    with sqlite.session() as repository, pytest.raises(Conflict, match="only what failed or was cancelled"):
        repository.requests.retry(experiment_id, FOUR)
    assert row(sqlite, experiment_id).resources_history == []


def test_of_two_who_change_them_at_once_the_later_one_is_told(sqlite: Database) -> None:
    experiment_id = of_eight(sqlite, S.PAUSED)
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
            "has started and goes on with cpus_per_trial 1 (its threads), on which its bits depend",
        ),
        ({"gpus_per_trial": 1}, "has started and goes on with gpus_per_trial 0 (its device), on which its bits depend"),
    ],
)
@pytest.mark.parametrize("begun", [{"attempts": 1}, {"epoch": 1}, {"mlflow_run_id": "r"}, {"run": "r"}, {}])
def test_threads_and_device_change_before_anything_has_begun_alone(
    database: Database, begun: dict[str, Any], after: dict[str, Any], says: str
) -> None:
    experiment_id = of_eight(database, S.PAUSED)
    begin(database, experiment_id, **begun)
    asked = NewResources(EIGHT, Resources(workers_per_trial=8, **after))
    with database.session() as repository:
        if begun:
            with pytest.raises(Conflict) as caught:
                repository.requests.want(experiment_id, Wanted.RUN, asked)
            assert says in str(caught.value)
        else:
            repository.requests.want(experiment_id, Wanted.RUN, asked)
    assert len(row(database, experiment_id).resources_history) == (not begun)


def test_neither_chains_nor_what_a_key_stands_for_depend_on_them(database: Database) -> None:
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

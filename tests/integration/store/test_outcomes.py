"""Tests of outcomes, from which results are computed: they equal the tables' rows, and need few queries, no objects."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from service.plan import plan
from service.spec import parse
from service.states import WorkState
from service.store.database import Database
from service.store.tables import ChainRow, StageRow
from tests.unit.service.spec.test_spec import spec, train

GRID = {"method": "grid", "space": {"optimizer.lr": {"choice": [0.1, 0.01, 0.001]}}}
SEARCH = {"validation": 0.1, "search": GRID}


def create(database: Database, **changes: Any) -> str:
    parsed = parse(spec(**changes))
    with database.session() as repository:
        return repository.experiments.create(parsed, plan(parsed)).id


@contextmanager
def counting(database: Database) -> Iterator[list[str]]:
    """Yield a list that gets an entry for each query, and the name of the class for each object that is loaded."""
    noted: list[str] = []

    def query(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            noted.append("query")

    def load(row: object, _: object) -> None:
        noted.append(type(row).__name__)

    event.listen(database.engine, "before_cursor_execute", query)
    for table in (ChainRow, StageRow):
        event.listen(table, "load", load)
    try:
        yield noted
    finally:
        event.remove(database.engine, "before_cursor_execute", query)
        for table in (ChainRow, StageRow):
            event.remove(table, "load", load)


def test_an_outcome_has_the_values_of_its_rows(database: Database) -> None:
    experiment_id = create(database, **SEARCH)
    failure = {"type": "not_finite", "message": "the loss is nan"}
    with database.session() as repository:
        for number, chain in enumerate(repository.work.chains(experiment_id)):
            chain.state = WorkState.SUCCEEDED if number % 2 else WorkState.FAILED
            for stage in chain.stages:
                stage.state, stage.train_time_s, stage.initial_sha256 = chain.state, 1.5 * number, f"{number:064x}"
                stage.failure = None if number % 2 else failure
                stage.test_set = {"num_samples": 360, "num_classes": 10, "largest_class": 37}
                stage.metrics = {"test/accuracy": 0.1 * stage.index + 1 / (number + 3), "val/accuracy": 1, "other": 2.0}
    with database.reading() as repository:
        outcomes, rows = repository.outcomes.of(experiment_id), repository.work.chains(experiment_id)
    assert len(outcomes) == len(rows) == 27
    for outcome, row in zip(outcomes, rows, strict=True):
        for name in ("id", "arm", "seed", "configuration", "state", "hyperparameters"):
            assert getattr(outcome, name) == getattr(row, name)
        for ended, stored in zip(outcome.stages, row.stages, strict=True):
            for name in ("index", "kind", "state", "train_time_s", "initial_sha256", "failure", "test_set"):
                assert getattr(ended, name) == getattr(stored, name)
            has_metrics = row.state == WorkState.SUCCEEDED and ended is outcome.stages[-1]
            read = ("test/accuracy", "val/accuracy") if has_metrics else ()
            assert dict(ended.metrics) == {key: stored.metrics[key] for key in read}


def test_a_stage_that_has_not_started_has_no_metrics(database: Database) -> None:
    experiment_id = create(database)
    with database.reading() as repository:
        assert [dict(stage.metrics) for stage in repository.outcomes.of(experiment_id)[0].stages] == [{}]


def test_four_queries_read_an_experiment_of_any_size(sqlite: Database) -> None:
    arms = [{"name": f"arm {number}", "stages": [train(), train()]} for number in range(40)]
    experiment_id = create(sqlite, arms=arms, baseline="arm 0", seeds=list(range(20)), **SEARCH)
    with counting(sqlite) as noted, sqlite.reading() as repository:
        assert len(repository.outcomes.of(experiment_id)) == 40 * 20 * 3
    assert noted == ["query"] * 4


def test_one_query_finds_the_best_configurations_of_many_arms(sqlite: Database) -> None:
    names = [f"arm {number}" for number in range(40)]
    arms = [{"name": name, "stages": [train()]} for name in names]
    experiment_id = create(sqlite, arms=arms, baseline="arm 0", **SEARCH)
    with counting(sqlite) as noted, sqlite.reading() as repository:
        found = repository.work.configurations(experiment_id, [(name, 2) for name in names])
    assert {len(chains) for _, chains in found.values()} == {3}
    assert len(found) == 40
    assert noted == ["query"]


def test_an_experiment_is_stored_from_chains_that_are_made_one_by_one(sqlite: Database) -> None:
    parsed = parse(spec(seeds=list(range(700))))
    with sqlite.session() as repository:
        row = repository.experiments.create(parsed, (chain for chain in plan(parsed)))
        experiment_id = row.id
    with sqlite.reading() as repository:
        stored, chains = repository.experiments.get(experiment_id), repository.work.chains(experiment_id)
    assert stored.stages_total == 700 * 4
    assert [(chain.id, len(chain.stages)) for chain in chains] == [
        (chain.id, len(chain.stages)) for chain in plan(parsed)
    ]

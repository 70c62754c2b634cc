"""Tests of totals over an experiment's chains, on every kind of database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import event

from service.plan import plan
from service.spec import parse
from service.states import WorkState
from service.store.database import Database
from service.store.sums import ConfigurationTotals, Extent
from service.store.tables import ChainRow
from tests.unit.service.spec.test_spec import spec, tet, train

STAGES = [train(T=2, loss=tet()), train(epochs=5, loss=tet()), {"kind": "time_sweep", "T": {"first": 1, "last": 6}}]
ARMS = [{"name": "SDT", "stages": [train()]}, {"name": "TIT", "stages": STAGES}]
SPACE = {"optimizer.lr": {"choice": [0.1, 0.01, 0.001]}}
SEARCH = {"method": "grid", "space": SPACE}


def create(database: Database, **changes: Any) -> str:
    parsed = parse(spec(arms=ARMS, baseline="SDT", seeds=[0, 1], validation=0.1, **changes))
    with database.session() as repository:
        return repository.experiments.create(parsed, plan(parsed)).id


def done(
    database: Database, experiment_id: str, arm: str, number: int, seed: int, state: str, *epochs: tuple[int, float]
) -> None:
    """Set the state of a chain, and the epochs and validation accuracies of its stages."""
    with database.session() as repository:
        for chain in repository.work.chains(experiment_id):
            if (chain.arm, chain.configuration, chain.seed) == (arm, number, seed):
                chain.state = state
                for row, (epoch, accuracy) in zip(chain.stages, epochs, strict=False):
                    metrics = {"val/accuracy": accuracy} if row.kind == "train" else {"rows": 1.0}
                    row.epoch, row.metrics, row.train_time_s = epoch, metrics, 0.5 * epoch


def searched(database: Database, experiment_id: str) -> Mapping[tuple[str, int], ConfigurationTotals]:
    with database.reading() as repository:
        return {(each.arm, each.number): each for each in repository.sums.configurations(experiment_id)}


def test_the_extent_covers_all_stages_of_an_experiment(database: Database) -> None:
    create(database)
    experiment_id = create(database)
    done(database, experiment_id, "TIT", 0, 0, "running", (20, 0.5), (5, 0.6), (1, 0.0))
    done(database, experiment_id, "SDT", 0, 1, "running", (3, 0.5))
    with database.reading() as repository:
        found = repository.sums.extent(experiment_id)
        rows = repository.work.chains(experiment_id)[1].stages[2].epochs
    assert found == Extent(
        num_chains=4,
        epochs_done=28,
        epochs_total=90,
        rows_done=1,
        rows_total=2 * rows,
        work_done=40 + 20 + 1 + 12,
        work_total=2 * (80 + 40 + 20 + rows),
    )


def test_numbers_beyond_32_bits_are_added_up(database: Database) -> None:
    experiment_id = create(database)
    with database.session() as repository:
        for chain in repository.work.chains(experiment_id):
            chain.stages[0].epoch, chain.stages[0].T = 2**31 - 1, 1000
    with database.reading() as repository:
        assert repository.sums.extent(experiment_id).work_done == 4000 * (2**31 - 1)


def test_totals_of_a_configuration_cover_its_chains(database: Database) -> None:
    experiment_id = create(database, search=SEARCH)
    done(database, experiment_id, "TIT", 1, 0, "running", (20, 0.5), (2, 0.6))
    done(database, experiment_id, "TIT", 1, 1, "waiting", (4, 0.4))
    found = searched(database, experiment_id)
    assert list(found) == [(arm, number) for arm in ("SDT", "TIT") for number in range(3)]
    one = found["TIT", 1]
    assert (set(one.states), one.work_done, one.train_time_s) == (
        {WorkState.RUNNING, WorkState.WAITING},
        40 + 8 + 8,
        13.0,
    )
    assert one.work_total == found["TIT", 0].work_total > 120
    assert one.val_accuracy == 0.5, "the mean of the newest accuracies of both chains"
    assert (one.num_succeeded, one.succeeded_val_accuracy) == (0, None)
    assert found["SDT", 0] == ConfigurationTotals("SDT", 0, frozenset({WorkState.WAITING}), 0, 160, 0.0, None)


def test_succeeded_chains_have_a_mean_of_their_own(database: Database) -> None:
    experiment_id = create(database, search=SEARCH)
    done(database, experiment_id, "SDT", 0, 0, "succeeded", (20, 0.9))
    done(database, experiment_id, "SDT", 0, 1, "running", (10, 0.5))
    one = searched(database, experiment_id)["SDT", 0]
    assert (one.num_succeeded, one.succeeded_val_accuracy, one.val_accuracy) == (1, 0.9, 0.7)


def test_stopped_chains_do_not_count_for_the_best_configuration(database: Database) -> None:
    experiment_id = create(database, search=SEARCH)
    for seed in (0, 1):
        done(database, experiment_id, "SDT", 2, seed, "stopped", (3, 0.9))
    assert searched(database, experiment_id)["SDT", 2].val_accuracy is None


def test_a_configuration_is_found_by_its_number(database: Database) -> None:
    experiment_id = create(database, search=SEARCH)
    with database.reading() as repository:
        chains = [
            each for each in repository.work.chains(experiment_id) if (each.arm, each.configuration) == ("TIT", 2)
        ]
        found = repository.work.configurations(experiment_id, [("TIT", 2), ("TIT", 99)])
    assert found == {("TIT", 2): (chains[0].hyperparameters, [chain.id for chain in chains])}
    assert len(chains) == 2


def test_totals_load_no_chain(database: Database) -> None:
    experiment_id = create(database, search=SEARCH)
    loaded: list[ChainRow] = []

    def note(row: ChainRow, _: object) -> None:
        loaded.append(row)

    event.listen(ChainRow, "load", note)
    try:
        with database.reading() as repository:
            repository.sums.extent(experiment_id)
            repository.sums.configurations(experiment_id)
    finally:
        event.remove(ChainRow, "load", note)
    assert loaded == []


WRONG: dict[str, Any] = {"type": "data", "class": "user", "kind": "DataError", "message": "num_classes is 4"}


def test_equal_failures_are_counted_once_by_chains(database: Database) -> None:
    experiment_id = create(database)
    old: dict[str, Any] = {
        "class": "cluster",
        "kind": None,
        "message": "gone",
        "traceback": "",
    }  # stored before there were types
    with database.session() as repository:
        first, second, third, fourth = repository.work.chains(experiment_id)
        for number, (chain, failure) in enumerate([(first, WRONG), (second, WRONG), (third, WRONG), (fourth, old)]):
            chain.stages[0].state = "failed"
            chain.stages[0].failure = {"traceback": f"trace {number}"} | failure
        ids = sorted([first.id, second.id, third.id])
    with database.reading() as repository:
        found, shortened = (repository.sums.failures(experiment_id, limit) for limit in (20, 1))
    assert [(each.failure.type, each.failure.message, each.num_chains) for each in found] == [
        ("data", "num_classes is 4", 3),
        ("node_lost", "gone", 1),
    ]
    assert (found[0].chain, found[1].chain) == (ids[0], fourth.id)
    assert shortened == found[:1]


def test_without_failed_stages_there_are_no_failures(database: Database) -> None:
    experiment_id = create(database)
    with database.session() as repository:
        repository.work.chains(experiment_id)[0].stages[0].failure = dict(WRONG)  # of an earlier generation
    with database.reading() as repository:
        assert repository.sums.failures(experiment_id, 20) == []

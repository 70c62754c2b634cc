"""What an experiment's results are computed from: a few columns of its chains and stages.

The tables' classes make an object for every row, and read all metrics of every stage, of which there are hundreds in a
deep network. For the largest experiment that takes ten times as long as these two queries.
"""

from typing import Any, NamedTuple

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from service.spec.search import ACCURACY, ENERGY
from service.store.tables import ChainRow, StageRow

TEST_ACCURACY = "test/accuracy"
# The metrics that results use.
READ = (TEST_ACCURACY, ACCURACY, ENERGY)


class StageOutcome(NamedTuple):
    """A stage: its values after the newest committed epoch, of the metrics in `READ`."""

    index: int
    kind: str
    state: str
    metrics: dict[str, float]
    train_time_s: float
    initial_sha256: str | None
    failure: dict[str, Any] | None


class ChainOutcome(NamedTuple):
    """A chain, with its stages in order. Chains of one configuration share `hyperparameters`."""

    id: str
    arm: str
    seed: int
    configuration: int
    state: str
    hyperparameters: dict[str, Any]
    stages: list[StageOutcome]


class Outcomes:
    """The chains of an experiment as results need them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, experiment_id: str) -> list[ChainOutcome]:
        """Return all chains in the plan's order, with three queries however many there are."""
        stages: dict[str, list[StageOutcome]] = {}
        for chain_id, stage in map(_stage, self._session.execute(_stages_of(experiment_id))):
            stages.setdefault(chain_id, []).append(stage)
        values = self._hyperparameters(experiment_id)
        columns = ChainRow.id, ChainRow.arm, ChainRow.seed, ChainRow.configuration, ChainRow.state
        query = select(*columns).where(ChainRow.experiment_id == experiment_id).order_by(ChainRow.position)
        return [
            ChainOutcome(id_, arm, seed, number, state, values[arm, number], stages.get(id_, []))
            for id_, arm, seed, number, state in self._session.execute(query)
        ]

    def _hyperparameters(self, experiment_id: str) -> dict[tuple[str, int], dict[str, Any]]:
        """Return the values of each configuration by arm and number, read from its first chain."""
        key = ChainRow.arm, ChainRow.configuration
        is_its = ChainRow.experiment_id == experiment_id
        firsts = select(func.min(ChainRow.position)).where(is_its).group_by(*key)
        query = select(*key, ChainRow.hyperparameters).where(is_its, ChainRow.position.in_(firsts))
        return {(arm, number): values for arm, number, values in self._session.execute(query)}


def _stages_of(experiment_id: str) -> Select[Any]:
    """Return the query of the stages, in the order of their key: by chain, then by index."""
    columns = (
        StageRow.chain_id,
        StageRow.index,
        StageRow.kind,
        StageRow.state,
        StageRow.train_time_s,
        StageRow.initial_sha256,
        StageRow.failure,
    )
    # The database takes the few metrics out of the many.
    metrics = (StageRow.metrics[name].as_float() for name in READ)
    query = select(*columns, *metrics).where(StageRow.experiment_id == experiment_id)
    return query.order_by(StageRow.chain_id, StageRow.index)


def _stage(row: Row[Any]) -> tuple[str, StageOutcome]:
    chain_id, index, kind, state, time_s, initial, failure, *values = row
    metrics = {name: value for name, value in zip(READ, values, strict=True) if value is not None}
    return chain_id, StageOutcome(index, kind, state, metrics, time_s, initial, failure)

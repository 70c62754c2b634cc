"""The data from which an experiment's results are computed: a few columns of its chains and stages.

The queries select columns, not whole rows. To read whole rows means to make an object for each row, and to read all
metrics of every stage. A stage of a deep network has hundreds of metrics. For the largest experiment, this takes ten
times as long as these queries.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session

from service.chain_outcomes import READ, ChainOutcome, StageOutcome
from service.states import WorkState
from service.store.tables import ChainRow, StageRow

_NO_METRICS: Mapping[str, float] = MappingProxyType({})


class Outcomes:
    """The chains of an experiment as results need them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, experiment_id: str, also: str | None = None) -> list[ChainOutcome]:
        """Return all chains in the plan's order. This takes four queries for any number of chains.

        Args:
            experiment_id: The experiment's id.
            also: A further metric to read.
        """
        metrics = self._metrics(experiment_id, READ if also is None or also in READ else (*READ, also))
        values = self._hyperparameters(experiment_id)
        stages: dict[str, list[StageOutcome]] = {}
        for chain_id, index, kind, state, time_s, initial, failure, test_set in self._session.execute(
            _stages_of(experiment_id)
        ):
            its_metrics = metrics.get((chain_id, index), _NO_METRICS)
            stage = StageOutcome(index, kind, state, time_s, initial, failure, test_set, its_metrics)
            stages.setdefault(chain_id, []).append(stage)
        of_chain = ChainRow.id, ChainRow.arm, ChainRow.seed, ChainRow.configuration, ChainRow.state
        query = select(*of_chain).where(ChainRow.experiment_id == experiment_id).order_by(ChainRow.position)
        return [
            ChainOutcome(id_, arm, seed, number, state, values[arm, number], stages.get(id_, []))
            for id_, arm, seed, number, state in self._session.execute(query)
        ]

    def hashes(self, experiment_id: str) -> dict[str, tuple[str | None, str | None]]:
        """Return the hashes of each chain's first and last weights, by the chain's id."""
        columns = StageRow.chain_id, StageRow.initial_sha256, StageRow.weights_sha256
        query = select(*columns).where(StageRow.experiment_id == experiment_id, StageRow.kind == "train")
        found: dict[str, tuple[str | None, str | None]] = {}
        for chain_id, initial, last in self._session.execute(query.order_by(StageRow.chain_id, StageRow.index)):
            found[chain_id] = (found[chain_id][0] if chain_id in found else initial, last)
        return found

    def last_rows(self, experiment_id: str, kind: str, metric: str) -> dict[str, float | None]:
        """Return a metric of the newest row of each chain's last succeeded analysis of a kind, by the chain's id."""
        value = StageRow.metrics[metric].as_float()
        query = select(StageRow.chain_id, value).where(StageRow.experiment_id == experiment_id, StageRow.kind == kind)
        query = query.where(StageRow.state == WorkState.SUCCEEDED).order_by(StageRow.chain_id, StageRow.index)
        return {row.chain_id: row[1] for row in self._session.execute(query)}

    def _hyperparameters(self, experiment_id: str) -> dict[tuple[str, int], dict[str, Any]]:
        """Return the values of each configuration by arm and number, read from its first chain."""
        key = ChainRow.arm, ChainRow.configuration
        is_its = ChainRow.experiment_id == experiment_id
        firsts = select(func.min(ChainRow.position)).where(is_its).group_by(*key)
        query = select(*key, ChainRow.hyperparameters).where(is_its, ChainRow.position.in_(firsts))
        return {(arm, number): values for arm, number, values in self._session.execute(query)}

    def _metrics(self, experiment_id: str, names: Sequence[str]) -> dict[tuple[str, int], Mapping[str, float]]:
        """Return the metrics of the last train stage of each chain that has succeeded, by chain and index."""
        last = select(StageRow.chain_id, func.max(StageRow.index).label("index"))
        last = last.where(StageRow.experiment_id == experiment_id, StageRow.kind == "train")
        of_chain = last.group_by(StageRow.chain_id).subquery()
        # The database takes the few metrics out of the many.
        values = (StageRow.metrics[name].as_float() for name in names)
        query = (
            select(StageRow.chain_id, StageRow.index, *values)
            .join(of_chain, and_(of_chain.c.chain_id == StageRow.chain_id, of_chain.c.index == StageRow.index))
            .join(ChainRow, and_(ChainRow.experiment_id == StageRow.experiment_id, ChainRow.id == StageRow.chain_id))
            .where(StageRow.experiment_id == experiment_id, ChainRow.state == WorkState.SUCCEEDED)
        )
        return {
            (chain_id, index): {name: value for name, value in zip(names, found, strict=True) if value is not None}
            for chain_id, index, *found in self._session.execute(query)
        }


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
        StageRow.test_set,
    )
    query = select(*columns).where(StageRow.experiment_id == experiment_id)
    return query.order_by(StageRow.chain_id, StageRow.index)

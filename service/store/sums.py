"""Sums over the chains of an experiment. The database adds up; no chain is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, select
from sqlalchemy.orm import Session

from service.spec.search import ACCURACY
from service.states import WorkState
from service.store.tables import ChainRow, StageRow

# A stage without a T counts as one step. In 64 bits: PostgreSQL multiplies with the width of the factors.
_STEPS = func.coalesce(cast(StageRow.T, BigInteger), 1)
_OF_ITS_CHAIN = and_(StageRow.experiment_id == ChainRow.experiment_id, StageRow.chain_id == ChainRow.id)
# Only a configuration whose chains are in these states can be the best of its arm.
_IN_THE_RUNNING = (WorkState.WAITING, WorkState.RUNNING, WorkState.SUCCEEDED)
# By arm and configuration.
_Accuracies = Mapping[tuple[str, int], float]


@dataclass(frozen=True)
class Extent:
    """How much there is to do, and how much is done: epochs of training, and rows of analyses.

    Work is the sum of both, each times its T: with T steps an epoch takes about T times as long.
    """

    num_chains: int
    epochs_done: int
    epochs_total: int
    rows_done: int
    rows_total: int
    work_done: int
    work_total: int


@dataclass(frozen=True)
class ConfigurationTotals:
    """One configuration of an arm's search, over its chains.

    Attributes:
        arm: The arm's name.
        number: The configuration's number within its arm, from 0.
        states: The states of its chains.
        work_done: Committed epochs times T.
        work_total: All its epochs times T.
        train_time_s: Time of all committed epochs of its chains.
        val_accuracy: Mean over the newest values of the chains that may still make it the best; None without any.
        num_succeeded: Number of its chains that have succeeded.
        succeeded_val_accuracy: Mean over these; None where there is none.
    """

    arm: str
    number: int
    states: frozenset[WorkState]
    work_done: int
    work_total: int
    train_time_s: float
    val_accuracy: float | None
    num_succeeded: int = 0
    succeeded_val_accuracy: float | None = None


class Sums:
    """Sums over the chains of an experiment."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def extent(self, experiment_id: str) -> Extent:
        """Return how much of an experiment is done."""
        trains = StageRow.kind == "train"
        columns = (StageRow.epoch, StageRow.epochs)
        sums = (
            *(func.sum(case((trains, column), else_=0)) for column in columns),
            *(func.sum(case((trains, 0), else_=column)) for column in columns),
            *(func.sum(column * _STEPS) for column in columns),
        )
        found = self._session.execute(select(*sums).where(StageRow.experiment_id == experiment_id)).one()
        chains = select(func.count()).select_from(ChainRow).where(ChainRow.experiment_id == experiment_id)
        return Extent(self._session.scalar(chains) or 0, *(int(each or 0) for each in found))

    def configurations(self, experiment_id: str) -> list[ConfigurationTotals]:
        """Return the configurations of all arms of a search, in the order of their numbers."""
        newest, of_succeeded = self._val_accuracies(experiment_id)
        sums: tuple[ColumnElement[Any], ...] = (
            func.sum(StageRow.epoch * _STEPS),
            func.sum(StageRow.epochs * _STEPS),
            func.sum(StageRow.train_time_s),
        )
        key = ChainRow.arm, ChainRow.configuration
        num_chains = func.count(ChainRow.id.distinct())
        query = select(*key, ChainRow.state, num_chains, *sums).join(StageRow, _OF_ITS_CHAIN)
        query = query.where(ChainRow.experiment_id == experiment_id).group_by(*key, ChainRow.state)
        parts: dict[tuple[str, int], list[tuple[WorkState, int, int, int, float]]] = {}
        for arm, number, state, count, done, total, time_s in self._session.execute(query.order_by(*key)):
            parts.setdefault((arm, number), []).append((WorkState(state), count, int(done), int(total), time_s))
        found = []
        for (arm, number), of_each in parts.items():
            states, counts, done, total, time_s = zip(*of_each, strict=True)
            found.append(
                ConfigurationTotals(
                    arm,
                    number,
                    frozenset(states),
                    sum(done),
                    sum(total),
                    sum(time_s),
                    newest.get((arm, number)),
                    dict(zip(states, counts, strict=True)).get(WorkState.SUCCEEDED, 0),
                    of_succeeded.get((arm, number)),
                )
            )
        return found

    def _val_accuracies(self, experiment_id: str) -> tuple[_Accuracies, _Accuracies]:
        """Return means over the chains that may be the best, and over those that have succeeded.

        Both are by arm and configuration, and computed by `fmean` as in the comparison.
        """
        columns = ChainRow.arm, ChainRow.configuration, ChainRow.id, ChainRow.state
        query = (
            select(*columns, StageRow.metrics[ACCURACY].as_float())
            .join(StageRow, _OF_ITS_CHAIN)
            .where(ChainRow.experiment_id == experiment_id, ChainRow.state.in_(_IN_THE_RUNNING), StageRow.epoch > 0)
            .order_by(StageRow.index)
        )
        newest: dict[tuple[str, int], dict[str, float]] = {}
        of_succeeded: dict[tuple[str, int], dict[str, float]] = {}
        for arm, number, chain, state, value in self._session.execute(query):
            if value is None:
                continue
            newest.setdefault((arm, number), {})[chain] = value
            if state == WorkState.SUCCEEDED:
                of_succeeded.setdefault((arm, number), {})[chain] = value
        return _means(newest), _means(of_succeeded)


def _means(values: Mapping[tuple[str, int], Mapping[str, float]]) -> _Accuracies:
    return {key: fmean(of_chains.values()) for key, of_chains in values.items()}

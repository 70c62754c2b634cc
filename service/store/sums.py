"""Totals over the chains of an experiment. The database computes the sums; no chain is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, select
from sqlalchemy.orm import Session

from service.failures import FailureCount, FailureSummary
from service.spec.search import ACCURACY
from service.states import WorkState
from service.store.tables import ChainRow, StageRow

# A stage without a T counts as one step. The cast to 64 bits is needed, because in PostgreSQL a product has no more
# bits than its factors.
_STEPS = func.coalesce(cast(StageRow.T, BigInteger), 1)
_OF_ITS_CHAIN = and_(StageRow.experiment_id == ChainRow.experiment_id, StageRow.chain_id == ChainRow.id)
# Only chains in these states count for the choice of the best configuration.
_IN_THE_RUNNING = (WorkState.WAITING, WorkState.RUNNING, WorkState.SUCCEEDED)
# Accuracies by arm and number of the configuration.
_Accuracies = Mapping[tuple[str, int], float]


@dataclass(frozen=True)
class Extent:
    """The epochs of training and the rows of analyses, done and in total.

    Work is the sum of both, each times its T, because an epoch with T steps takes roughly T times as long as an epoch
    with one step.
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
    """The totals of one configuration over its chains.

    Attributes:
        arm: The arm's name.
        number: The configuration's number within its arm, from 0.
        states: The states of its chains.
        work_done: Committed epochs times T.
        work_total: All its epochs times T.
        train_time_s: Training time of all committed epochs of its chains, s.
        val_accuracy: Mean of the newest values of the chains that count for the choice; None if there are none.
        num_succeeded: Number of its chains that have succeeded.
        succeeded_val_accuracy: Mean over the chains that have succeeded; None if there are none.
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
    """Totals over the chains of an experiment."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def failures(self, experiment_id: str, limit: int) -> list[FailureCount]:
        """Return the different failures of an experiment's stages, the most frequent first."""
        type_, whose, message = (StageRow.failure[key].as_string() for key in ("type", "class", "message"))
        num_chains = func.count(StageRow.chain_id.distinct())
        query = (
            select(type_, whose, message, num_chains, func.min(StageRow.chain_id))
            .where(StageRow.experiment_id == experiment_id, StageRow.state == WorkState.FAILED, message.is_not(None))
            .group_by(type_, whose, message)
            .order_by(num_chains.desc(), message)
            .limit(limit)
        )
        return [
            FailureCount(_summary(type_, whose, message), num_chains, chain)
            for type_, whose, message, num_chains, chain in self._session.execute(query)
        ]

    def extent(self, experiment_id: str) -> Extent:
        """Return how much of an experiment is done, and how much there is to do."""
        trains = StageRow.kind == "train"
        columns = (StageRow.epoch, StageRow.epochs)
        sums = (
            *(func.sum(case((trains, column), else_=0)) for column in columns),
            *(func.sum(case((trains, 0), else_=column)) for column in columns),
            *(func.sum(column * _STEPS) for column in columns),
        )
        values = self._session.execute(select(*sums).where(StageRow.experiment_id == experiment_id)).one()
        chains = select(func.count()).select_from(ChainRow).where(ChainRow.experiment_id == experiment_id)
        return Extent(self._session.scalar(chains) or 0, *(int(value or 0) for value in values))

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
        totals = []
        for (arm, number), by_state in parts.items():
            states, counts, done, total, time_s = zip(*by_state, strict=True)
            totals.append(
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
        return totals

    def _val_accuracies(self, experiment_id: str) -> tuple[_Accuracies, _Accuracies]:
        """Return means over the chains that count for the choice, and over the chains that have succeeded.

        Both have a value for each arm and configuration. `fmean` computes them, as in the comparison.
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


def _summary(type_: str | None, whose: str, message: str) -> FailureSummary:
    """Return a stored failure. Earlier versions stored failures without a type."""
    typed = {} if type_ is None else {"type": type_}
    return FailureSummary.model_validate({**typed, "class": whose, "message": message})

"""What the many chains of an experiment come to; the database adds up, and no chain is loaded for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, select

from service.errors import NotFound
from service.spec.search import ACCURACY
from service.states import WorkState
from service.store.base import Queries
from service.store.tables import ChainRow, StageRow

# A stage without a T counts as one step. In 64 bits: PostgreSQL multiplies in as many as the factors have.
_STEPS = func.coalesce(cast(StageRow.T, BigInteger), 1)
_OF_ITS_CHAIN = and_(StageRow.experiment_id == ChainRow.experiment_id, StageRow.chain_id == ChainRow.id)
# Chains that have ended otherwise make nothing the best of its arm.
_IN_THE_RUNNING = (WorkState.WAITING, WorkState.RUNNING, WorkState.SUCCEEDED)
# By arm and configuration.
_Accuracies = Mapping[tuple[str, int], float]


@dataclass(frozen=True)
class Extent:
    """How much is to be done in all, and how much of it is: epochs of training, and rows of analyses.

    Work is both, times T: an epoch takes about T times as long at T steps.
    """

    num_chains: int
    epochs_done: int
    epochs_total: int
    rows_done: int
    rows_total: int
    work_done: int
    work_total: int


@dataclass(frozen=True)
class Searched:
    """One configuration of an arm's search, over its chains.

    Attributes:
        arm: The arm's name.
        number: The configuration's within its arm, from 0.
        states: Those of its chains.
        work_done: Epochs times T.
        work_total: The same of all its stages.
        train_time_s: Of all committed epochs of its chains.
        val_accuracy: Mean over the newest of its chains that may still make it the best; None where there is none.
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


class Sums(Queries):
    """The part of the repository that adds up."""

    def extent(self, experiment_id: str) -> Extent:
        """How much of an experiment is done."""
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

    def searched(self, experiment_id: str) -> list[Searched]:
        """The configurations of all arms of a search, in the order of their numbers."""
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
                Searched(
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
        """Means over the chains in the running, and over those that have succeeded; by arm and configuration.

        The means are `fmean`'s, as in the comparison.
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

    def configuration(self, experiment_id: str, arm: str, number: int) -> tuple[dict[str, Any], list[str]]:
        """What a search has drawn for one configuration, and the ids of its chains, in the plan's order.

        Raises:
            NotFound: the experiment has been deleted meanwhile.
        """
        this = ChainRow.experiment_id == experiment_id, ChainRow.arm == arm, ChainRow.configuration == number
        query = select(ChainRow.hyperparameters, ChainRow.id).where(*this).order_by(ChainRow.position)
        found = self._session.execute(query).all()
        if not found:
            raise NotFound(f"there is no experiment {experiment_id!r}")
        return found[0].hyperparameters, [row.id for row in found]


def _means(values: Mapping[tuple[str, int], Mapping[str, float]]) -> _Accuracies:
    return {key: fmean(of_chains.values()) for key, of_chains in values.items()}

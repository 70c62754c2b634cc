"""Experiments: stored once for each idempotency key, and found again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, insert, or_, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from service.errors import Conflict, NotFound
from service.events import ExperimentChanged
from service.plan import Chain
from service.reasons import Reason
from service.spec import Experiment
from service.states import ACTIVE, Cleanup, ExperimentState, Wanted
from service.store.event_log import EventLog
from service.store.rows import chain_values, experiment_row, stage_values
from service.store.tables import ChainRow, ExperimentRow, IdempotencyKeyRow, LineageRow, OutcomeRow, StageRow


@dataclass(frozen=True)
class Active:
    """The part of an experiment that has not ended which the reconciler reads in every round."""

    id: str
    state: ExperimentState
    wanted: Wanted
    is_held: bool
    reason: Reason
    owner: str
    priority: int
    queued_at: datetime
    demand: Mapping[str, Any]
    driver_attempt: int


_LONG_COLUMNS = (
    ExperimentRow.spec,
    ExperimentRow.description,
    ExperimentRow.labels,
    ExperimentRow.demand,
    ExperimentRow.resources_history,
)
_ACTIVE_COLUMNS = (
    ExperimentRow.id,
    ExperimentRow.state,
    ExperimentRow.wanted,
    ExperimentRow.is_held,
    ExperimentRow.reason_kind,
    ExperimentRow.reason,
    ExperimentRow.owner,
    ExperimentRow.priority,
    ExperimentRow.queued_at,
    ExperimentRow.demand,
    ExperimentRow.driver_attempt,
)


class Experiments:
    """Experiments, what each started from, and how its earlier generations ended."""

    def __init__(self, session: Session, events: EventLog) -> None:
        self._session, self._events = session, events

    def get(self, experiment_id: str, *, lock: bool = False) -> ExperimentRow:
        """Return one experiment.

        Args:
            experiment_id: which.
            lock: let no other transaction change it until this one ends. Lock it before you add events: clients read
                events by number, and would miss one that is numbered first and stored last.

        Raises:
            NotFound: there is none of this id, or it is being deleted.
        """
        row = self._session.get(ExperimentRow, experiment_id, with_for_update=lock or None)
        if row is None or row.cleanup == Cleanup.EVERYTHING:
            raise NotFound(f"there is no experiment {experiment_id!r}")
        return row

    def page(
        self, *, limit: int, after: str | None = None, state: str | None = None, name: str | None = None
    ) -> list[ExperimentRow]:
        """Return experiments, newest first, without the columns that may be long: specs, descriptions, labels and such.

        Args:
            limit: how many at most.
            after: id of the last experiment of the page before.
            state: only those in this state.
            name: only those whose name holds this text, in any case.
        """
        query = select(ExperimentRow).order_by(ExperimentRow.created_at.desc(), ExperimentRow.id.desc()).limit(limit)
        query = query.options(*(defer(column, raiseload=True) for column in _LONG_COLUMNS))
        query = query.where(or_(ExperimentRow.cleanup.is_(None), ExperimentRow.cleanup != Cleanup.EVERYTHING))
        if after is not None:
            last = self.get(after)
            query = query.where(tuple_(ExperimentRow.created_at, ExperimentRow.id) < (last.created_at, last.id))
        if state is not None:
            query = query.where(ExperimentRow.state == state)
        if name is not None:
            query = query.where(ExperimentRow.name.icontains(name, autoescape=True))
        return list(self._session.scalars(query))

    def active(self) -> list[Active]:
        """Return the experiments that have not ended, oldest first; without their specs, which may be long."""
        query = select(*_ACTIVE_COLUMNS).where(ExperimentRow.state.in_(ACTIVE))
        rows = self._session.execute(query.order_by(ExperimentRow.created_at, ExperimentRow.id))
        return [
            Active(id_, ExperimentState(state), wanted, is_held, Reason(kind, words), *rest)
            for id_, state, wanted, is_held, kind, words, *rest in rows
        ]

    def create(
        self,
        spec: Experiment,
        chains: Sequence[Chain],
        *,
        idempotency_key: str | None = None,
        body_sha256: str = "",
        preset: str | None = None,
        rerun_of: str | None = None,
    ) -> ExperimentRow:
        """Store an experiment as queued, with all its chains and stages.

        Args:
            spec: what to run.
            chains: its plan.
            idempotency_key: the client's, if it sent one.
            body_sha256: hash of the request that the key belongs to.
            preset: name of the preset that it was made from.
            rerun_of: id of the search whose best configurations it measures.

        Returns:
            The new experiment, or the one that the same key and body created before.

        Raises:
            Conflict: the key was used with another body.
        """
        if idempotency_key is None:
            return self._insert(spec, chains, preset, rerun_of)
        known = self.known(idempotency_key, body_sha256)
        if known is not None:
            return known
        try:
            with self._session.begin_nested():
                row = self._insert(spec, chains, preset, rerun_of)
                key = IdempotencyKeyRow(key=idempotency_key, body_sha256=body_sha256, experiment_id=row.id)
                self._session.add(key)
                self._session.flush()
            return row
        except IntegrityError:  # another request with this key was faster
            known = self.known(idempotency_key, body_sha256)
            if known is None:
                raise
            return known

    def known(self, key: str | None, body_sha256: str) -> ExperimentRow | None:
        """Return the experiment that a key has created already; None if it has created none.

        Raises:
            Conflict: the key was used with another body.
        """
        known = None if key is None else self._session.get(IdempotencyKeyRow, key)
        if known is None:
            return None
        if known.body_sha256 != body_sha256:
            raise Conflict(
                f"Idempotency-Key {key!r} was used before with another body, for experiment {known.experiment_id}; "
                "send the same body, or a new key"
            )
        try:
            return self.get(known.experiment_id)
        except NotFound:
            raise Conflict(
                f"Idempotency-Key {key!r} made experiment {known.experiment_id}, which is being deleted: "
                "try again a little later, or send a new key"
            ) from None

    def _insert(
        self, spec: Experiment, chains: Sequence[Chain], preset: str | None, rerun_of: str | None
    ) -> ExperimentRow:
        num_stages = sum(len(chain.stages) for chain in chains)
        row = experiment_row(spec, num_stages=num_stages, preset=preset, rerun_of=rerun_of)
        self._session.add(row)
        self._session.flush()
        # The tables, not the classes: the many rows are not read again here, and this takes half the time.
        chain_rows = [chain_values(row.id, position, chain) for position, chain in enumerate(chains)]
        self._session.execute(insert(cast("Table", ChainRow.__table__)), chain_rows)
        stage_rows = [values for chain in chains for values in stage_values(row.id, chain)]
        self._session.execute(insert(cast("Table", StageRow.__table__)), stage_rows)
        parents = dict.fromkeys(chain.origin.experiment for chain in chains if chain.origin is not None)
        self._session.add_all(LineageRow(experiment_id=row.id, parent_id=parent) for parent in parents)
        self._events.add(row.id, ExperimentChanged(state=ExperimentState(row.state)))
        return row

    def heirs(self, experiment_id: str) -> list[str]:
        """Return the ids of the experiments that start from this one's checkpoints."""
        query = select(LineageRow.experiment_id).where(LineageRow.parent_id == experiment_id)
        return list(self._session.scalars(query.order_by(LineageRow.experiment_id)))

    def parents(self, experiment_id: str) -> list[str]:
        """Return the ids of the experiments whose checkpoints this one starts from."""
        query = select(LineageRow.parent_id).where(LineageRow.experiment_id == experiment_id)
        return list(self._session.scalars(query.order_by(LineageRow.parent_id)))

    def outcomes(self, experiment_id: str) -> list[OutcomeRow]:
        """Return how the earlier generations ended, oldest first."""
        query = select(OutcomeRow).where(OutcomeRow.experiment_id == experiment_id)
        return list(self._session.scalars(query.order_by(OutcomeRow.generation)))

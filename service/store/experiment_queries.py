"""Queries about experiments: create, find and list them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
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
    """The columns that the reconciler reads in every round, of an experiment that has not ended."""

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


# How many chains have their rows in memory at once while an experiment is stored: 20,000 stages would take 30 MB.
CHAINS_AT_ONCE = 1_000
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
    """Experiments, their parents, and the outcomes of their earlier generations."""

    def __init__(self, session: Session, events: EventLog) -> None:
        self._session, self._events = session, events

    def get(self, experiment_id: str, *, lock: bool = False) -> ExperimentRow:
        """Return one experiment.

        Args:
            experiment_id: the experiment's id.
            lock: whether to lock the row until the transaction ends. Lock it before you add events. Clients read events
                by number, and would miss an event that is numbered first but stored last.

        Raises:
            NotFound: no experiment has this id, or it is being deleted.
        """
        row = self._session.get(ExperimentRow, experiment_id, with_for_update=lock or None)
        if row is None or row.cleanup == Cleanup.EVERYTHING:
            raise NotFound(f"there is no experiment {experiment_id!r}")
        return row

    def states(self, experiment_ids: Collection[str]) -> dict[str, ExperimentState]:
        """Return the states of some experiments; those that do not exist, or are being deleted, are left out."""
        query = select(ExperimentRow.id, ExperimentRow.state).where(ExperimentRow.id.in_(experiment_ids))
        query = query.where(or_(ExperimentRow.cleanup.is_(None), ExperimentRow.cleanup != Cleanup.EVERYTHING))
        return {id_: ExperimentState(state) for id_, state in self._session.execute(query)}

    def page(
        self, *, limit: int, after: str | None = None, state: str | None = None, name: str | None = None
    ) -> list[ExperimentRow]:
        """Return experiments, newest first, without the columns that may be long: specs, descriptions, labels and such.

        Args:
            limit: largest number of experiments to return.
            after: id of the last experiment on the previous page; None for the first page.
            state: return only experiments in this state; None: in any state.
            name: return only experiments whose name contains this text, in upper or lower case.
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
        chains: Iterable[Chain],
        *,
        idempotency_key: str | None = None,
        body_sha256: str = "",
        preset: str | None = None,
        rerun_of: str | None = None,
    ) -> ExperimentRow:
        """Store an experiment as queued, with all its chains and stages.

        Args:
            spec: what to run.
            chains: the chains of the experiment's plan; they are read once, a few at a time.
            idempotency_key: the client's key; None if it sent none.
            body_sha256: hash of the request that the key belongs to.
            preset: name of the preset that the experiment was made from; None if there is none.
            rerun_of: id of the search whose best configurations the experiment measures; None if there is none.

        Returns:
            The new experiment, or the experiment that an earlier request with the same key and body created.

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
        """Return the experiment that was created with a key; None if there is none.

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
        self, spec: Experiment, chains: Iterable[Chain], preset: str | None, rerun_of: str | None
    ) -> ExperimentRow:
        row = experiment_row(spec, preset=preset, rerun_of=rerun_of)
        self._session.add(row)
        self._session.flush()
        parents: dict[str, None] = {}
        numbered = enumerate(chains)
        while batch := list(islice(numbered, CHAINS_AT_ONCE)):
            self._insert_chains(row.id, batch)
            row.stages_total += sum(len(chain.stages) for _, chain in batch)
            parents |= dict.fromkeys(chain.origin.experiment for _, chain in batch if chain.origin is not None)
        self._session.add_all(LineageRow(experiment_id=row.id, parent_id=parent) for parent in parents)
        self._events.add(row.id, ExperimentChanged(state=ExperimentState(row.state)))
        return row

    def _insert_chains(self, experiment_id: str, numbered: Sequence[tuple[int, Chain]]) -> None:
        # Insert through the tables, not the classes: no objects are needed, and it takes half the time.
        chain_rows = [chain_values(experiment_id, position, chain) for position, chain in numbered]
        self._session.execute(insert(cast("Table", ChainRow.__table__)), chain_rows)
        stage_rows = [values for _, chain in numbered for values in stage_values(experiment_id, chain)]
        self._session.execute(insert(cast("Table", StageRow.__table__)), stage_rows)

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

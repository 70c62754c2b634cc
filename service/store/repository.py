"""Every query of the service. A `Repository` lives as long as one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import CursorResult, and_, func, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.errors import Conflict, NotFound
from service.events import utc_now
from service.plan import Chain
from service.spec import Experiment
from service.states import ACTIVE, DONE, EXPERIMENT_TRANSITIONS, TERMINAL, ExperimentState, WorkState
from service.store.rows import chain_values, experiment_row, stage_values
from service.store.tables import ChainRow, EventFileRow, EventRow, ExperimentRow, IdempotencyKeyRow, StageRow

Wanted = Literal["run", "pause", "cancel"]
_DONE_TO: dict[Wanted, str] = {"run": "resumed", "pause": "paused", "cancel": "cancelled"}


class Repository:
    """Reads and writes of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- making ------------------------------------------------------------------------------------------------

    def create_experiment(
        self,
        spec: Experiment,
        chains: Sequence[Chain],
        *,
        idempotency_key: str | None = None,
        body_sha256: str = "",
        preset: str | None = None,
    ) -> ExperimentRow:
        """Store an experiment as queued, with all its chains and stages; `preset` is the one it was posted by.

        Returns:
            The new experiment, or the one that the same key and body made before.

        Raises:
            Conflict: the key was used with another body.
        """
        if idempotency_key is None:
            return self._insert(spec, chains, preset)
        known = self._by_key(idempotency_key, body_sha256)
        if known is not None:
            return known
        try:
            with self._session.begin_nested():
                row = self._insert(spec, chains, preset)
                key = IdempotencyKeyRow(key=idempotency_key, body_sha256=body_sha256, experiment_id=row.id)
                self._session.add(key)
                self._session.flush()
            return row
        except IntegrityError:  # another request with this key came first
            known = self._by_key(idempotency_key, body_sha256)
            if known is None:
                raise
            return known

    def _by_key(self, key: str, body_sha256: str) -> ExperimentRow | None:
        known = self._session.get(IdempotencyKeyRow, key)
        if known is None:
            return None
        if known.body_sha256 != body_sha256:
            raise Conflict(
                f"Idempotency-Key {key!r} was used before with another body, for experiment {known.experiment_id}; "
                "send the same body, or a new key"
            )
        return self.experiment(known.experiment_id)

    def _insert(self, spec: Experiment, chains: Sequence[Chain], preset: str | None) -> ExperimentRow:
        row = experiment_row(spec, num_stages=sum(len(chain.stages) for chain in chains), preset=preset)
        self._session.add(row)
        self._session.flush()
        self._session.execute(insert(ChainRow), [chain_values(row.id, i, chain) for i, chain in enumerate(chains)])
        self._session.execute(insert(StageRow), [v for chain in chains for v in stage_values(row.id, chain)])
        self.add_event(row.id, "experiment", {"state": row.state})
        return row

    # -- reading -----------------------------------------------------------------------------------------------

    def experiment(self, experiment_id: str, *, lock: bool = False) -> ExperimentRow:
        """One experiment.

        Args:
            experiment_id: which.
            lock: let nobody else change it until this transaction ends. Whoever tells events of it does so, since
                followers read them by number: without, one that was numbered first could be stored last, unseen.

        Raises:
            NotFound: there is none of this id.
        """
        row = self._session.get(ExperimentRow, experiment_id, with_for_update=lock or None)
        if row is None:
            raise NotFound(f"there is no experiment {experiment_id!r}")
        return row

    def experiments(
        self, *, limit: int, after: str | None = None, state: str | None = None, name: str | None = None
    ) -> list[ExperimentRow]:
        """Experiments, newest first.

        Args:
            limit: how many at most.
            after: id of the last experiment of the page before.
            state: only those in this state.
            name: only those whose name holds this text, in any case.
        """
        query = select(ExperimentRow).order_by(ExperimentRow.created_at.desc(), ExperimentRow.id.desc()).limit(limit)
        if after is not None:
            last = self.experiment(after)
            query = query.where(tuple_(ExperimentRow.created_at, ExperimentRow.id) < (last.created_at, last.id))
        if state is not None:
            query = query.where(ExperimentRow.state == state)
        if name is not None:
            query = query.where(ExperimentRow.name.icontains(name, autoescape=True))
        return list(self._session.scalars(query))

    def chains(self, experiment_id: str, *, limit: int | None = None, after: int = -1) -> list[ChainRow]:
        """Chains with their stages, in the plan's order, from behind position `after`."""
        query = (
            select(ChainRow)
            .where(ChainRow.experiment_id == experiment_id, ChainRow.position > after)
            .order_by(ChainRow.position)
            .limit(limit)
        )
        return list(self._session.scalars(query))

    def events(self, experiment_id: str, *, after: int = 0, limit: int = 500) -> list[EventRow]:
        """Events of an experiment, oldest first, from behind event `after`."""
        query = (
            select(EventRow)
            .where(EventRow.experiment_id == experiment_id, EventRow.id > after)
            .order_by(EventRow.id)
            .limit(limit)
        )
        return list(self._session.scalars(query))

    def active_experiments(self) -> list[ExperimentRow]:
        """Experiments in no terminal state, oldest first."""
        query = select(ExperimentRow).where(ExperimentRow.state.in_(ACTIVE))
        return list(self._session.scalars(query.order_by(ExperimentRow.created_at, ExperimentRow.id)))

    # -- changing ----------------------------------------------------------------------------------------------

    def request(self, experiment_id: str, wanted: Wanted) -> ExperimentRow:
        """Want something of an experiment; the reconciler makes it so. To want it again changes nothing.

        Args:
            experiment_id: which.
            wanted: "pause", "run" (to resume what is paused) or "cancel".

        Raises:
            NotFound: there is none of this id.
            Conflict: it has ended otherwise already, or is being cancelled.
        """
        row = self.experiment(experiment_id, lock=True)
        ends_so = wanted == "cancel" and row.state == ExperimentState.CANCELLED
        if row.state in TERMINAL and not ends_so:
            said = "is" if row.state == ExperimentState.CANCELLED else "has"
            raise Conflict(f"experiment {experiment_id} {said} {row.state} and cannot be {_DONE_TO[wanted]}")
        if row.wanted == "cancel" and wanted != "cancel":
            raise Conflict(f"experiment {experiment_id} is being cancelled and cannot be {_DONE_TO[wanted]}")
        if row.wanted != wanted:
            row.wanted = wanted
            self.add_event(experiment_id, "experiment", {"state": row.state, "wanted": wanted})
        return row

    def advance(
        self,
        experiment_id: str,
        before: ExperimentState,
        after: ExperimentState,
        *,
        seen_attempt: int | None = None,
        **changes: Any,
    ) -> bool:
        """Move an experiment from one state to another, if it is still in the first.

        Args:
            experiment_id: which.
            before: the state it was seen in.
            after: the state to come; may be the same, to change other columns alone.
            seen_attempt: the number of the newest driver then; None where it does not matter.
            changes: other columns to set in the same step.

        Returns:
            False when it had left `before`, or had got another driver, meanwhile; nothing is changed then.
        """
        assert after in EXPERIMENT_TRANSITIONS[before], f"{before} -> {after}"
        if after != before and after not in ACTIVE:
            changes["finished_at"] = utc_now()
        statement = update(ExperimentRow).where(ExperimentRow.id == experiment_id, ExperimentRow.state == before)
        if seen_attempt is not None:
            statement = statement.where(ExperimentRow.driver_attempt == seen_attempt)
        result = cast("CursorResult[Any]", self._session.execute(statement.values(state=after, **changes)))
        if result.rowcount == 0:
            return False
        if after != before or "reason" in changes:
            self.add_event(experiment_id, "experiment", {"state": after, "reason": changes.get("reason", "")})
        return True

    def add_event(self, experiment_id: str, kind: str, data: dict[str, Any], at: datetime | None = None) -> None:
        """Append to the stream that clients follow."""
        self._session.add(EventRow(experiment_id=experiment_id, at=at or utc_now(), type=kind, data=data))

    def end_unfinished(self, experiment_id: str, state: WorkState) -> None:
        """Put every chain and stage that has not ended into `state`."""
        for table in (ChainRow, StageRow):
            unfinished = table.experiment_id == experiment_id, table.state.not_in(DONE)
            self._session.execute(update(table).where(*unfinished).values(state=state))

    def rest_running(self, experiment_id: str) -> None:
        """Put every chain and stage that runs back to waiting."""
        for table in (ChainRow, StageRow):
            running = table.experiment_id == experiment_id, table.state == WorkState.RUNNING
            self._session.execute(update(table).where(*running).values(state=WorkState.WAITING))

    # -- event files -------------------------------------------------------------------------------------------

    def event_offset(self, experiment_id: str, driver_attempt: int) -> int:
        """How many bytes of this driver's event file have been taken in."""
        row = self._session.get(EventFileRow, (experiment_id, driver_attempt))
        return 0 if row is None else row.offset

    def move_event_offset(self, experiment_id: str, driver_attempt: int, before: int, after: int) -> bool:
        """Record that the file is taken in up to `after`; False if somebody else moved it from `before`."""
        if before == 0 and self._session.get(EventFileRow, (experiment_id, driver_attempt)) is None:
            try:
                with self._session.begin_nested():
                    row = EventFileRow(experiment_id=experiment_id, driver_attempt=driver_attempt, offset=after)
                    self._session.add(row)
                return True
            except IntegrityError:
                return False
        result = self._session.execute(
            update(EventFileRow)
            .where(
                and_(
                    EventFileRow.experiment_id == experiment_id,
                    EventFileRow.driver_attempt == driver_attempt,
                    EventFileRow.offset == before,
                )
            )
            .values(offset=after)
        )
        return cast("CursorResult[Any]", result).rowcount == 1

    def chain(self, experiment_id: str, chain_id: str) -> ChainRow | None:
        """One chain, or None."""
        return self._session.get(ChainRow, (experiment_id, chain_id))

    def stage(self, experiment_id: str, chain_id: str, index: int) -> StageRow | None:
        """One stage, or None."""
        return self._session.get(StageRow, (experiment_id, chain_id, index))

    def count_epochs(self, experiment_id: str) -> int:
        """How many epochs are known to be committed, over all stages."""
        query = select(func.sum(StageRow.epoch)).where(StageRow.experiment_id == experiment_id)
        return self._session.scalar(query) or 0

    def count_done_stages(self, experiment_id: str) -> int:
        """How many stages have succeeded or were stopped early."""
        done = or_(StageRow.state == "succeeded", StageRow.state == "stopped")
        query = select(func.count()).select_from(StageRow).where(StageRow.experiment_id == experiment_id, done)
        return self._session.scalar(query) or 0

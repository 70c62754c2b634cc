"""Every query of the service. A `Repository` lives as long as one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, or_, select, text, tuple_, update
from sqlalchemy.orm import defer

from service.events import utc_now
from service.reasons import NO_REASON, Reason
from service.states import ACTIVE, EXPERIMENT_TRANSITIONS, RESTING, TERMINAL, Cleanup, ExperimentState, Wanted
from service.store.making import Making
from service.store.requests import Requests
from service.store.sums import Sums
from service.store.tables import EventRow, ExperimentRow
from service.store.upkeep import Upkeep
from service.store.verifications import Verifications
from service.store.work import Work

# Any constant will do: it names the lock under which one reconciler at a time takes from the queue, on PostgreSQL.
QUEUE_LOCK = 7_481_127


@dataclass(frozen=True)
class Active:
    """What the reconciler looks at of an experiment that has not ended, in every round."""

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


class Repository(Making, Requests, Sums, Upkeep, Verifications, Work):
    """Reads and writes of one transaction."""

    def experiments(
        self, *, limit: int, after: str | None = None, state: str | None = None, name: str | None = None
    ) -> list[ExperimentRow]:
        """Experiments, newest first, without what may be long in them: specs, descriptions, labels and such.

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
            last = self.experiment(after)
            query = query.where(tuple_(ExperimentRow.created_at, ExperimentRow.id) < (last.created_at, last.id))
        if state is not None:
            query = query.where(ExperimentRow.state == state)
        if name is not None:
            query = query.where(ExperimentRow.name.icontains(name, autoescape=True))
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

    def active(self) -> list[Active]:
        """Experiments in no terminal state, oldest first; without their specs, which may be long."""
        query = select(*_ACTIVE_COLUMNS).where(ExperimentRow.state.in_(ACTIVE))
        rows = self._session.execute(query.order_by(ExperimentRow.created_at, ExperimentRow.id))
        return [
            Active(id_, ExperimentState(state), wanted, is_held, Reason(kind, words), *rest)
            for id_, state, wanted, is_held, kind, words, *rest in rows
        ]

    def hold_running(self, why: str) -> int:
        """Keep what is starting or running from going on; returns how many that were let go on until now."""
        at_work = ExperimentRow.state.in_((ExperimentState.STARTING, ExperimentState.RUNNING))
        statement = update(ExperimentRow).where(at_work, ~ExperimentRow.is_held).values(hold=why)
        return cast("CursorResult[Any]", self._session.execute(statement)).rowcount

    def release(self) -> None:
        """Let go on what was kept from it; what has ended meanwhile keeps the reason of its end."""
        held = ExperimentRow.is_held, ExperimentRow.state.in_(ACTIVE)
        nothing = {"hold": "", "reason_kind": NO_REASON.kind, "reason": NO_REASON.words}
        self._session.execute(update(ExperimentRow).where(*held).values(nothing))

    def has_room(self, owner: str, *, running: int, running_per_owner: int | None) -> bool:
        """Whether one more of an owner may run; until this transaction ends, nobody else is told so.

        Args:
            owner: whose.
            running: experiments that may run at once.
            running_per_owner: the same of one owner; None: as many as run at all.
        """
        if self._session.get_bind().dialect.name == "postgresql":  # on SQLite there is one writer at a time anyway
            self._session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": QUEUE_LOCK})
        query = select(ExperimentRow.owner).where(ExperimentRow.state.in_(ACTIVE - RESTING))
        owners = list(self._session.scalars(query))
        return len(owners) < running and (running_per_owner is None or owners.count(owner) < running_per_owner)

    def advance(
        self,
        experiment_id: str,
        before: ExperimentState,
        after: ExperimentState,
        *,
        seen_attempt: int | None = None,
        reason: Reason | None = None,
        **changes: Any,
    ) -> bool:
        """Move an experiment from one state to another, if it is still in the first.

        Args:
            experiment_id: which.
            before: the state it was seen in.
            after: the state to come; may be the same, to change other columns alone.
            seen_attempt: the number of the newest driver then; None where it does not matter.
            reason: why, from now on; None: as before.
            changes: other columns to set in the same step.

        Returns:
            False when it had left `before`, or had got another driver, meanwhile; nothing is changed then.
        """
        assert after in EXPERIMENT_TRANSITIONS[before], f"{before} -> {after}"
        if reason is not None:
            changes |= {"reason_kind": reason.kind, "reason": reason.words}
        if after != before and after in TERMINAL:
            changes |= self._at_end(experiment_id, after)
        statement = update(ExperimentRow).where(ExperimentRow.id == experiment_id, ExperimentRow.state == before)
        if seen_attempt is not None:
            statement = statement.where(ExperimentRow.driver_attempt == seen_attempt)
        result = cast("CursorResult[Any]", self._session.execute(statement.values(state=after, **changes)))
        if result.rowcount == 0:
            return False
        if after != before or reason is not None:
            why = reason or NO_REASON
            told = {"failure": changes["failure"]} if changes.get("failure") else {}
            data = {"state": after, "reason": why.words, "reason_kind": why.kind, **told}
            self.add_event(experiment_id, "experiment", data)
        return True

    def _at_end(self, experiment_id: str, state: ExperimentState) -> dict[str, Any]:
        """What else changes once an experiment ends: when it goes, what of it goes at once, who is told."""
        spec, now = self.experiment(experiment_id).spec, utc_now()
        retention = spec.get("retention") or {}
        days = retention.get("delete_after_days")
        # What has not succeeded may be retried, which takes its checkpoints.
        keep = retention.get("checkpoints") if state is ExperimentState.SUCCEEDED else None
        return {
            "finished_at": now,
            "delete_at": None if days is None else now + timedelta(days=days),
            "cleanup": {"last": Cleanup.BEST, "none": Cleanup.CHECKPOINTS}.get(keep or ""),
            "notify_at": now if spec.get("webhook") else None,
        }

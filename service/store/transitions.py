"""Changes of an experiment's state, each made only if the experiment is still in the state in which it was seen."""

from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, select, text, update
from sqlalchemy.orm import Session

from service.events import ExperimentChanged, utc_now
from service.reasons import NO_REASON, Reason
from service.states import ACTIVE, EXPERIMENT_TRANSITIONS, RESTING, TERMINAL, Cleanup, ExperimentState
from service.store.event_log import EventLog
from service.store.experiment_queries import Experiments
from service.store.tables import ExperimentRow

# An arbitrary number: on PostgreSQL it names the lock under which one reconciler at a time starts queued experiments.
QUEUE_LOCK = 7_481_127


class Transitions:
    """Changes of an experiment's state and of its hold."""

    def __init__(self, session: Session, experiments: Experiments, events: EventLog) -> None:
        self._session, self._experiments, self._events = session, experiments, events

    def hold_running(self, why: str) -> int:
        """Hold the experiments that start or run, for the reason `why`; return how many were not held before."""
        starts_or_runs = ExperimentRow.state.in_((ExperimentState.STARTING, ExperimentState.RUNNING))
        statement = update(ExperimentRow).where(starts_or_runs, ~ExperimentRow.is_held).values(hold=why)
        return cast("CursorResult[Any]", self._session.execute(statement)).rowcount

    def release_held(self) -> None:
        """Release all held experiments; an experiment that has ended meanwhile keeps its reason."""
        is_held = ExperimentRow.is_held, ExperimentRow.state.in_(ACTIVE)
        cleared = {"hold": "", "reason_kind": NO_REASON.kind, "reason": NO_REASON.words}
        self._session.execute(update(ExperimentRow).where(*is_held).values(cleared))

    def note_session(self, experiment_id: str, driver_attempt: int, session: str | None) -> None:
        """Note the session of Ray to which a driver is submitted, if it is still the newest one; None: not known."""
        of_driver = ExperimentRow.id == experiment_id, ExperimentRow.driver_attempt == driver_attempt
        statement = update(ExperimentRow).where(*of_driver)
        self._session.execute(statement.values(ray_session=session, is_job_forgotten=False))

    def forget_jobs(self, session: str) -> None:
        """Note that Ray does not know the newest drivers' jobs that were submitted to another session than this one."""
        of_another = ExperimentRow.ray_session.is_not(None), ExperimentRow.ray_session != session
        statement = update(ExperimentRow).where(*of_another, ExperimentRow.is_job_forgotten.is_(False))
        self._session.execute(statement.values(is_job_forgotten=True))

    def has_room(self, owner: str, *, running: int, running_per_owner: int | None) -> bool:
        """Return whether one more experiment of an owner may run. Other callers wait until this transaction ends.

        Args:
            owner: the owner's name.
            running: number of experiments that may run at once.
            running_per_owner: number of experiments of one owner that may run at once; None: no such limit.
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
        """Move an experiment from one state to another, if it is still in the first one.

        Args:
            experiment_id: the experiment's id.
            before: the state in which it was seen.
            after: the new state. If it equals `before`, only other columns change.
            seen_attempt: the number of the newest driver when the experiment was seen; None: any driver.
            reason: the new reason; None: unchanged.
            changes: other columns to set in the same step; `finished_at` of an end is now if it is not given.

        Returns:
            False, and nothing is changed, if the experiment has left `before` or has got another driver meanwhile.
        """
        assert after in EXPERIMENT_TRANSITIONS[before], f"{before} -> {after}"
        if reason is not None:
            changes |= {"reason_kind": reason.kind, "reason": reason.words}
        if after != before and after in TERMINAL:
            changes |= self._at_end(experiment_id, after, changes.get("finished_at") or utc_now())
        statement = update(ExperimentRow).where(ExperimentRow.id == experiment_id, ExperimentRow.state == before)
        if seen_attempt is not None:
            statement = statement.where(ExperimentRow.driver_attempt == seen_attempt)
        result = cast("CursorResult[Any]", self._session.execute(statement.values(state=after, **changes)))
        if result.rowcount == 0:
            return False
        if after != before or reason is not None:
            why = reason or NO_REASON
            failed = {"failure": changes["failure"]} if changes.get("failure") else {}
            event = ExperimentChanged(state=after, reason=why.words, reason_kind=why.kind, **failed)
            self._events.add(experiment_id, event)
        return True

    def _at_end(self, experiment_id: str, state: ExperimentState, ended_at: datetime) -> dict[str, Any]:
        """Return the columns that change at the end: what to remove, when to delete, and when to call the webhook."""
        spec = self._experiments.get(experiment_id).spec
        retention = spec.get("retention") or {}
        days = retention.get("delete_after_days")
        # An experiment that has not succeeded may be retried, and a retry needs its checkpoints.
        keep = retention.get("checkpoints") if state is ExperimentState.SUCCEEDED else None
        return {
            "finished_at": ended_at,
            "delete_at": None if days is None else ended_at + timedelta(days=days),
            "cleanup": {"last": Cleanup.BEST, "none": Cleanup.CHECKPOINTS}.get(keep or ""),
            "notify_at": utc_now() if spec.get("webhook") else None,
        }

"""The reconciler: in rounds, it compares what is wanted with what is observed, and acts on the difference.

Every act may be repeated (see `acts`). So two reconcilers may run at once, and one may be killed at any point.
"""

import logging
import time
from collections import Counter
from contextlib import suppress
from typing import assert_never

from service.control.acts import Acts, wanted_now
from service.control.background import BackgroundThread
from service.control.decide import Action, decide
from service.control.ingest import ingest
from service.control.jobs import JobStatus, Observation, RayJobs
from service.control.placement import Nodes
from service.control.queue import Admission, QueueLimits, QueueVerdict, judge
from service.control.replays import Replays
from service.control.storage_watch import StorageWatch
from service.events import utc_now
from service.failures import FailureType
from service.job_name import submission_id
from service.reasons import NO_REASON, Reason, ReasonKind, cancelled, ray_silent, service_trouble, storage_trouble
from service.settings import Settings
from service.states import RESTING, ExperimentState, Wanted, WorkState
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.experiment_queries import Active
from service.store.tables import ExperimentRow

log = logging.getLogger(__name__)

# Seconds without progress in a round after which the thread counts as hung.
STALE_AFTER_S = 60.0
# Seconds for which the resources of the nodes are remembered: they change slowly, and a call takes tens of ms.
NODES_KNOWN_FOR_S = 2.0
# Seconds for which the name of Ray's session is remembered.
SESSION_KNOWN_FOR_S = 5.0
# The reasons that may stay while the driver runs; every other reason is removed when it runs.
WHILE_RUNNING = frozenset({ReasonKind.NONE, ReasonKind.WAITS_FOR_MLFLOW})


class Reconciler(BackgroundThread):
    """The thread that reconciles all experiments that have not ended."""

    def __init__(self, database: Database, jobs: RayJobs, settings: Settings) -> None:
        super().__init__("reconciler", settings.reconcile_interval_s)
        self._database, self._jobs, self._settings = database, jobs, settings
        self._acts = Acts(database, jobs, settings)
        self._storage = StorageWatch(settings.storage, settings.min_free_bytes)
        self._replays = Replays(database, jobs, settings)
        self._nodes: tuple[float, Nodes] | None = None
        # When Ray was last asked for its session, and its last answer.
        self._asked_at, self._session = -SESSION_KNOWN_FOR_S, ""

    def problem(self) -> str | None:
        """Return why this reconciler does not work; None while it does."""
        if not self.is_alive:
            return "the reconciler's thread does not run"
        silent_s = self.silent_s
        return f"the reconciler has been silent for {silent_s:.0f} s" if silent_s > STALE_AFTER_S else None

    def round(self) -> None:
        """Do one round over all experiments that have not ended; an error with one does not affect the others."""
        with self._database.reading() as repository:
            active = repository.experiments.active()
        self._hold_or_release(active)
        for one in active:
            if _only_waits(one):
                continue
            self.give_sign()
            try:
                self._ingest_and_reconcile(one.id)
            except Exception as error:  # for example, its folder cannot be read; the next round may succeed
                log.exception("experiment %s could not be reconciled; the next round tries again", one.id)
                self._note_trouble(one.id, error)
        if any(one.state is ExperimentState.QUEUED for one in active):
            self._serve_queue()
        self._replays.look_after()
        self._note_restart()

    def _note_restart(self) -> None:
        """If Ray was restarted, note that it has forgotten its jobs: links to them would show nothing."""
        now = time.monotonic()
        if now - self._asked_at < SESSION_KNOWN_FOR_S:
            return
        self._asked_at = now
        session = self._jobs.session()
        if session is not None and session != self._session:
            with self._database.session() as repository:
                repository.transitions.forget_jobs(session)
            self._session = session

    def _hold_or_release(self, active: list[Active]) -> None:
        """Hold running experiments while the storage is full, before they fail; release them once there is space."""
        trouble = self._storage.trouble()
        if trouble is None and any(one.is_held for one in active):
            with self._database.session() as repository:
                repository.transitions.release_held()
        elif trouble is not None and any(one.state not in RESTING and not one.is_held for one in active):
            with self._database.session() as repository:
                num_held = repository.transitions.hold_running(f"{trouble}; it continues by itself once there is space")
            log.warning("%d experiments are held: %s", num_held, trouble)

    def _serve_queue(self) -> None:
        """Start the experiments whose turn it is; store why each of the others waits."""
        with self._database.reading() as repository:
            active = repository.experiments.active()
        queued = {one.id: one for one in active if one.state is ExperimentState.QUEUED and one.wanted is Wanted.RUN}
        trouble = self._storage.trouble()
        limits = QueueLimits(
            running=0 if trouble is not None else self._settings.max_running,
            running_per_owner=self._settings.max_running_per_owner,
            aging_s=self._settings.priority_aging_s,
        )
        running = Counter(one.owner for one in active if one.state not in RESTING)
        for verdict in judge(queued.values(), running, limits, self._cluster(), utc_now()):
            match verdict.admission:
                case Admission.WAIT:
                    self._note_wait(queued[verdict.id], verdict.reason, trouble)
                case Admission.START | Admission.REFUSE:
                    self._take_from_queue(verdict)
                case _:
                    assert_never(verdict.admission)

    def _note_wait(self, one: Active, reason: Reason, trouble: str | None) -> None:
        if trouble is not None and reason.kind is ReasonKind.NONE:
            reason = storage_trouble(trouble)
        if reason != one.reason:
            with self._database.session() as repository:
                repository.transitions.advance(one.id, one.state, one.state, reason=reason)

    def _take_from_queue(self, verdict: QueueVerdict) -> None:
        with self._database.reading() as repository:
            row = repository.experiments.get(verdict.id)
        try:
            if verdict.admission is Admission.START:
                self._acts.start(row, ExperimentState.QUEUED, NO_REASON)
            else:
                self._acts.fail(row, FailureType.SPEC, WorkState.CANCELLED, verdict.reason)
        except Exception as error:
            log.exception("experiment %s could not be started; the next round tries again", verdict.id)
            self._note_trouble(verdict.id, error)

    def _cluster(self) -> Nodes:
        """Return what the nodes offer, from an answer that is at most `NODES_KNOWN_FOR_S` old."""
        now = time.monotonic()
        if self._nodes is None or now - self._nodes[0] > NODES_KNOWN_FOR_S:
            self._nodes = now, self._jobs.cluster_resources()
        return self._nodes[1]

    def _note_trouble(self, experiment_id: str, error: Exception) -> None:
        """Show the error to users, unless the database cannot be written either: it may be on the same full disk."""
        with suppress(Exception):
            with self._database.reading() as repository:
                row = repository.experiments.get(experiment_id)
            if row.finished_at is None:
                self._acts.note(row, service_trouble(error))

    def _ingest_and_reconcile(self, experiment_id: str) -> None:
        ingest(self._database, self._folder(experiment_id))
        with self._database.reading() as repository:
            row = repository.experiments.get(experiment_id)
        if row.finished_at is None:
            self._reconcile_one(row)

    def _reconcile_one(self, row: ExperimentRow) -> None:
        state = ExperimentState(row.state)
        submission = submission_id(row.id, row.driver_attempt)
        seen = Observation(JobStatus.ABSENT) if state in RESTING else self._jobs.observe(submission)
        if seen.status is JobStatus.ENDED:
            # It may have written its outcome after we read its events and before we asked Ray.
            ingest(self._database, self._folder(row.id))
            with self._database.reading() as repository:
                row = repository.experiments.get(row.id)
            if row.finished_at is not None:
                return
        self._act(row, state, submission, seen)

    def _act(self, row: ExperimentRow, state: ExperimentState, submission: str, seen: Observation) -> None:
        match decide(wanted_now(row), state, seen.status):
            case Action.NONE | Action.ENQUEUE:
                pass
            case Action.SUBMIT:
                self._acts.submit(row)
            case Action.NOTE_RUNNING:
                if state is ExperimentState.STARTING or row.reason_kind not in WHILE_RUNNING or row.retry_at:
                    self._acts.advance(row, ExperimentState.RUNNING, reason=NO_REASON, retry_at=None)
            case Action.REVIVE:
                self._acts.revive(row, state, submission, seen)
            case Action.STOP:
                self._acts.stop_driver(row, state, submission)
            case Action.PAUSE:
                self._acts.fence(row)
                reason = storage_trouble(row.hold) if row.is_held else NO_REASON
                self._acts.rest(row, state, ExperimentState.PAUSED, reason)
            case Action.QUEUE:
                self._acts.fence(row)
                self._acts.rest(row, state, ExperimentState.QUEUED, NO_REASON)
            case Action.CANCEL:
                self._acts.fence(row)
                self._acts.conclude(row, ExperimentState.CANCELLED, WorkState.CANCELLED, cancelled())
            case Action.NOTE_UNKNOWN:
                self._acts.note(row, ray_silent(seen.message))
            case action:
                assert_never(action)

    def _folder(self, experiment_id: str) -> ExperimentFolder:
        return ExperimentFolder(self._settings.storage, experiment_id)


def _only_waits(one: Active) -> bool:
    """Return whether an experiment needs no work in a round: it is in the queue, and has had no driver."""
    return (
        one.state is ExperimentState.QUEUED and one.wanted is Wanted.RUN and one.driver_attempt == 0 and not one.is_held
    )

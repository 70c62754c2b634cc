"""Makes what is wanted true: compares it with what is observed, again and again, and acts on the difference.

Every act may be repeated: the intent is stored first, ids are computed, and state changes only if the experiment is
still in the state in which it was seen. So two reconcilers, or one that was killed anywhere, do no harm.
"""

import json
import logging
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import assert_never

from service.control.decide import Action, decide
from service.control.driver_job import driver_job
from service.control.ingest import ingest
from service.control.jobs import JobStatus, Observation, RayJobs, submission_id
from service.control.placement import Nodes
from service.control.queue import Limits, Turn, Verdict, judge
from service.control.replays import Replays
from service.control.storage_watch import StorageWatch
from service.events import utc_now
from service.failures import Failure, FailureType
from service.reasons import (
    NO_REASON,
    Reason,
    ReasonKind,
    cancelled,
    driver_lost,
    failed,
    ray_refused,
    ray_silent,
    service_trouble,
    stopping,
    storage_trouble,
)
from service.settings import Settings
from service.states import RESTING, ExperimentState, Wanted, WorkState
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.experiment_queries import Active
from service.store.tables import ExperimentRow
from tet_core.files import write_atomic

log = logging.getLogger(__name__)

# The wait before the next driver doubles with each idle death, up to this.
MAX_BACKOFF_S = 60.0
# With no experiment looked after for so long, and no round ended, the thread hangs or is dead.
STALE_AFTER_S = 60.0
# What the nodes offer changes slowly, and asking costs a call of tens of ms.
NODES_KNOWN_FOR_S = 2.0
# Any other reason is over once the driver is seen to run.
WHILE_RUNNING = frozenset({ReasonKind.NONE, ReasonKind.WAITS_FOR_MLFLOW})


class Reconciler:
    """One thread that looks after all experiments which have not ended."""

    def __init__(self, database: Database, jobs: RayJobs, settings: Settings) -> None:
        self._database = database
        self._jobs = jobs
        self._settings = settings
        self._storage = StorageWatch(settings.storage, settings.min_free_bytes)
        self._replays = Replays(database, jobs, settings)
        self._nodes: tuple[float, Nodes] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reconciler", daemon=True)
        self._last_sign = time.monotonic()

    def start(self) -> None:
        """Begin to work in the background."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """End the thread after the round it is in. Experiments go on; the next reconciler takes them up."""
        self._stop.set()

    def ended_within(self, wait_s: float) -> bool:
        """Whether the thread is at its end, now or after a wait of at most `wait_s`."""
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def problem(self) -> str | None:
        """Why this reconciler cannot be relied on; None while it works."""
        if not self._thread.is_alive():
            return "the reconciler's thread does not run"
        silent_s = time.monotonic() - self._last_sign
        return f"the reconciler has been silent for {silent_s:.0f} s" if silent_s > STALE_AFTER_S else None

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self.reconcile()
            except Exception:  # a round that fails must not end the service
                log.exception("a round of the reconciler failed; the next one follows")
            self._last_sign = time.monotonic()
            self._stop.wait(self._settings.reconcile_interval_s)

    def reconcile(self) -> None:
        """One round over all experiments that have not ended; what goes wrong with one is no matter of the others."""
        with self._database.reading() as repository:
            active = repository.experiments.active()
        self._hold_or_release(active)
        for one in active:
            if _only_waits(one):
                continue
            self._last_sign = time.monotonic()
            try:
                self._look_after(one.id)
            except Exception as error:  # its folder cannot be read, say; it may be again in the next round
                log.exception("experiment %s could not be looked after; the next round tries again", one.id)
                self._tell_trouble(one.id, error)
        if any(one.state is ExperimentState.QUEUED for one in active):
            self._serve_queue()
        self._replays.look_after()

    def _hold_or_release(self, active: list[Active]) -> None:
        """Where the storage is full, what runs is paused before it fails; it goes on once there is room."""
        trouble = self._storage.trouble()
        if trouble is None and any(one.is_held for one in active):
            with self._database.session() as repository:
                repository.transitions.release_held()
        elif trouble is not None and any(one.state not in RESTING and not one.is_held for one in active):
            with self._database.session() as repository:
                num_held = repository.transitions.hold_running(f"{trouble}; it goes on by itself once there is room")
            log.warning("%d experiments are held: %s", num_held, trouble)

    def _serve_queue(self) -> None:
        """Let start whose turn it is; tell the others why not, where that needs a word."""
        with self._database.reading() as repository:
            active = repository.experiments.active()
        queued = {one.id: one for one in active if one.state is ExperimentState.QUEUED and one.wanted is Wanted.RUN}
        trouble = self._storage.trouble()
        limits = Limits(
            running=0 if trouble else self._settings.max_running,
            running_per_owner=self._settings.max_running_per_owner,
            aging_s=self._settings.priority_aging_s,
        )
        running = Counter(one.owner for one in active if one.state not in RESTING)
        for verdict in judge(queued.values(), running, limits, self._cluster(), utc_now()):
            known = queued[verdict.id]
            if verdict.turn is not Turn.WAIT:
                self._take_from_queue(verdict)
                continue
            waits_for_its_turn = verdict.reason.kind is ReasonKind.NONE
            reason = storage_trouble(trouble) if trouble and waits_for_its_turn else verdict.reason
            if reason != known.reason:
                with self._database.session() as repository:
                    repository.transitions.advance(known.id, known.state, known.state, reason=reason)

    def _take_from_queue(self, verdict: Verdict) -> None:
        with self._database.reading() as repository:
            row = repository.experiments.get(verdict.id)
        try:
            if verdict.turn is Turn.GO:
                self._start(row, ExperimentState.QUEUED, NO_REASON)
            else:
                self._fail(row, FailureType.SPEC, WorkState.CANCELLED, verdict.reason)
        except Exception as error:
            log.exception("experiment %s could not be started; the next round tries again", verdict.id)
            self._tell_trouble(verdict.id, error)

    def _cluster(self) -> Nodes:
        """What the nodes offer, asked for from time to time."""
        now = time.monotonic()
        if self._nodes is None or now - self._nodes[0] > NODES_KNOWN_FOR_S:
            self._nodes = now, self._jobs.cluster_resources()
        return self._nodes[1]

    def _tell_trouble(self, experiment_id: str, error: Exception) -> None:
        """Let its users see what is in the way, if the database takes it: it may lie on the same disk."""
        with suppress(Exception):
            with self._database.reading() as repository:
                row = repository.experiments.get(experiment_id)
            if row.finished_at is None:
                self._note(row, service_trouble(error))

    def _look_after(self, experiment_id: str) -> None:
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
            # It may have said its last word between our reading and our looking.
            ingest(self._database, self._folder(row.id))
            with self._database.reading() as repository:
                row = repository.experiments.get(row.id)
            if row.finished_at is not None:
                return
        match decide(_wanted(row), state, seen.status):
            case Action.NONE | Action.ENQUEUE:
                pass
            case Action.SUBMIT:
                self._submit(row)
            case Action.NOTE_RUNNING:
                if state is ExperimentState.STARTING or row.reason_kind not in WHILE_RUNNING or row.retry_at:
                    self._advance(row, ExperimentState.RUNNING, reason=NO_REASON, retry_at=None)
            case Action.REVIVE:
                self._revive(row, state, submission, seen)
            case Action.STOP:
                self._stop_driver(row, state, submission)
            case Action.PAUSE:
                self._fence(row)
                self._rest(row, state, ExperimentState.PAUSED, storage_trouble(row.hold) if row.is_held else NO_REASON)
            case Action.QUEUE:
                self._fence(row)
                self._rest(row, state, ExperimentState.QUEUED, NO_REASON)
            case Action.CANCEL:
                self._fence(row)
                self._conclude(row, ExperimentState.CANCELLED, WorkState.CANCELLED, cancelled())
            case Action.NOTE_UNKNOWN:
                self._note(row, ray_silent(seen.message))
            case action:
                assert_never(action)

    # -- acts --------------------------------------------------------------------------------------------------

    def _start(self, row: ExperimentRow, before: ExperimentState, reason: Reason) -> None:
        """Store the intent to run the next driver, and the spec as it is now for it; the next round submits it."""
        folder = self._folder(row.id)
        folder.drivers.mkdir(parents=True, exist_ok=True)
        spec = folder.drivers / f"{row.driver_attempt + 1:04d}.spec.json"
        write_atomic(spec, json.dumps(row.spec, ensure_ascii=False, indent=1).encode())
        try:
            self._put_to_start(row, before, reason, spec)
        finally:
            spec.unlink(missing_ok=True)

    def _put_to_start(self, row: ExperimentRow, before: ExperimentState, reason: Reason, spec: Path) -> None:
        with self._database.session() as repository:
            held = repository.experiments.get(row.id, lock=True)
            if (held.state, held.driver_attempt, held.spec) != (before, row.driver_attempt, row.spec):
                return  # another reconciler has started it since we looked, or it was given other resources
            now, has_rested = utc_now(), before is ExperimentState.QUEUED
            if has_rested and not repository.transitions.has_room(
                row.owner,
                running=self._settings.max_running,
                running_per_owner=self._settings.max_running_per_owner,
            ):
                return  # another reconciler has given its place away since we looked
            # Under the lock: what is late must not overwrite what a newer driver is about to read.
            spec.replace(self._folder(row.id).spec)
            # A driver that follows one that is gone goes on with its stretch.
            work = repository.sums.extent(row.id).work_done if has_rested else row.work_at_stretch
            repository.transitions.advance(
                row.id,
                before,
                ExperimentState.STARTING,
                seen_attempt=row.driver_attempt,
                reason=reason,
                retry_at=None,
                driver_attempt=row.driver_attempt + 1,
                epochs_at_start=repository.work.count_epochs(row.id),
                started_at=row.started_at or now,
                stretch_started_at=now if has_rested else row.stretch_started_at,
                work_at_stretch=work,
            )

    def _submit(self, row: ExperimentRow) -> None:
        problem = self._jobs.submit(driver_job(self._settings, row))
        if problem is not None:
            self._note(row, ray_refused(problem))

    def _revive(self, row: ExperimentRow, state: ExperimentState, submission: str, seen: Observation) -> None:
        """A driver is gone without an outcome: start the next one, after a while if it got nowhere."""
        if row.retry_at is not None:
            if utc_now() >= row.retry_at:
                self._start(row, state, row.current_reason())
            return
        self._keep_job_log(row, submission)
        with self._database.reading() as repository:
            progressed = repository.work.count_epochs(row.id) > row.epochs_at_start
        deaths = 0 if progressed else row.idle_deaths + 1
        what = f"driver {row.driver_attempt} is gone ({seen.message or 'Ray does not know its job'})"
        if deaths > self._settings.max_driver_deaths:
            reason = failed(f"{what}; {deaths} drivers in a row have died without committing an epoch")
            self._fail(row, FailureType.ENGINE_LOST, WorkState.FAILED, reason)
            return
        wait_s = 0.0 if progressed else min(2.0 ** (deaths - 1), MAX_BACKOFF_S)
        retry_at = utc_now() + timedelta(seconds=wait_s)
        log.warning("experiment %s: %s; the next one starts in %.0f s", row.id, what, wait_s)
        self._advance(row, state, reason=driver_lost(what), idle_deaths=deaths, retry_at=retry_at)

    def _stop_driver(self, row: ExperimentRow, state: ExperimentState, submission: str) -> None:
        """Ask Ray to stop the driver; what is to be paused is `pausing` from then on."""
        answer = self._jobs.stop(submission)
        reason = storage_trouble(row.hold) if row.is_held and answer is None else stopping(answer)
        after = ExperimentState.PAUSING if _wanted(row) is Wanted.PAUSE else state
        if (after, reason) != (state, row.current_reason()):
            self._advance(row, after, reason=reason)

    def _rest(self, row: ExperimentRow, state: ExperimentState, after: ExperimentState, reason: Reason) -> None:
        """Nothing runs any more: what had begun waits for the next driver, which starts with a clean record."""
        with self._database.session() as repository:
            if repository.transitions.advance(
                row.id, state, after, seen_attempt=row.driver_attempt, reason=reason, idle_deaths=0, retry_at=None
            ):
                repository.work.rest_running(row.id)

    def _fence(self, row: ExperimentRow) -> None:
        """Keep a submission that is still on its way to Ray from running: a driver stops if its folder is there."""
        if row.driver_attempt > 0:
            self._folder(row.id).driver(row.driver_attempt).mkdir(parents=True, exist_ok=True)

    def _fail(self, row: ExperimentRow, type_: FailureType, rest: WorkState, reason: Reason) -> None:
        self._conclude(
            row, ExperimentState.FAILED, rest, reason, failure=Failure.of(type_, reason.words).summary.as_json()
        )

    def _conclude(
        self, row: ExperimentRow, state: ExperimentState, rest: WorkState, reason: Reason, **changes: object
    ) -> None:
        with self._database.session() as repository:
            before = ExperimentState(row.state)
            if repository.transitions.advance(
                row.id, before, state, seen_attempt=row.driver_attempt, reason=reason, **changes
            ):
                repository.work.end_unfinished(row.id, rest)

    def _note(self, row: ExperimentRow, reason: Reason) -> None:
        if reason != row.current_reason():
            self._advance(row, ExperimentState(row.state), reason=reason)

    def _advance(self, row: ExperimentRow, after: ExperimentState, *, reason: Reason, **changes: object) -> None:
        with self._database.session() as repository:
            before = ExperimentState(row.state)
            repository.transitions.advance(
                row.id, before, after, seen_attempt=row.driver_attempt, reason=reason, **changes
            )

    def _keep_job_log(self, row: ExperimentRow, submission: str) -> None:
        """Copy what the job printed to storage: Ray forgets it with the node."""
        logs = self._jobs.logs(submission)
        if logs is not None:
            folder = self._folder(row.id)
            write_atomic(folder.drivers / f"{row.driver_attempt:04d}.job.log", logs.encode())

    def _folder(self, experiment_id: str) -> ExperimentFolder:
        return ExperimentFolder(self._settings.storage, experiment_id)


def _wanted(row: ExperimentRow) -> Wanted:
    """What is wanted of it now: what the service itself holds is to pause, whatever its user wants beside the end."""
    return Wanted.PAUSE if row.is_held and row.wanted is Wanted.RUN else row.wanted


def _only_waits(one: Active) -> bool:
    """Whether there is nothing to look at: it is in the queue, and no driver of it can be heard of."""
    return (
        one.state is ExperimentState.QUEUED and one.wanted is Wanted.RUN and one.driver_attempt == 0 and not one.is_held
    )

"""The acts of the reconciler on one experiment.

Every act may be repeated. The intent is stored first, and a repeated submission has the same job id: it is computed
from the experiment's id and the driver's number. The state changes only if the experiment still has the state and the
driver that the reconciler saw.
"""

import json
import logging
from datetime import timedelta
from pathlib import Path

from service.control.driver_job import driver_job
from service.control.jobs import Observation, RayJobs
from service.events import utc_now
from service.failures import Failure, FailureType
from service.reasons import Reason, asked_to_stop, driver_lost, failed, ray_refused, storage_trouble
from service.settings import Settings
from service.states import ExperimentState, Wanted, WorkState
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.tables import ExperimentRow
from tet_core.files import write_atomic

log = logging.getLogger(__name__)

# Longest wait before the next driver, s. The wait doubles with each driver that dies without committing an epoch.
MAX_BACKOFF_S = 60.0


class Acts:
    """The acts; each takes a row of the experiment as it was read earlier."""

    def __init__(self, database: Database, jobs: RayJobs, settings: Settings) -> None:
        self._database, self._jobs, self._settings = database, jobs, settings

    def start(self, row: ExperimentRow, before: ExperimentState, reason: Reason) -> None:
        """Store the intent to run the next driver, and its spec; the next round submits it."""
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
            current = repository.experiments.get(row.id, lock=True)
            if (current.state, current.driver_attempt, current.spec) != (before, row.driver_attempt, row.spec):
                return  # meanwhile another reconciler has started it, or its resources were changed
            now, has_rested = utc_now(), before is ExperimentState.QUEUED
            if has_rested and not repository.transitions.has_room(
                row.owner,
                running=self._settings.max_running,
                running_per_owner=self._settings.max_running_per_owner,
            ):
                return  # meanwhile another reconciler has started another experiment in its place
            # Under the lock: a late reconciler must not overwrite the spec that a newer driver will read.
            spec.replace(self._folder(row.id).spec)
            # A driver that follows a lost one continues its stretch.
            work = repository.sums.extent(row.id).work_done if has_rested else row.work_at_stretch
            repository.transitions.advance(
                row.id,
                before,
                ExperimentState.STARTING,
                seen_attempt=row.driver_attempt,
                reason=reason,
                retry_at=None,
                driver_attempt=row.driver_attempt + 1,
                ray_session=None,
                is_job_forgotten=False,
                epochs_at_start=repository.work.count_epochs(row.id),
                started_at=row.started_at or now,
                stretch_started_at=now if has_rested else row.stretch_started_at,
                work_at_stretch=work,
            )

    def submit(self, row: ExperimentRow) -> None:
        """Submit the driver's job. Only the next query to Ray shows whether Ray has the job."""
        session = self._jobs.session()
        if session != row.ray_session or row.is_job_forgotten:
            with self._database.session() as repository:
                repository.transitions.note_session(row.id, row.driver_attempt, session)
        problem = self._jobs.submit(driver_job(self._settings, row))
        if problem is not None:
            self.note(row, ray_refused(problem))

    def revive(self, row: ExperimentRow, state: ExperimentState, submission: str, seen: Observation) -> None:
        """Start the next driver after a lost one, with a wait before it if the lost driver committed no epoch."""
        if row.retry_at is not None:
            if utc_now() >= row.retry_at:
                self.start(row, state, row.current_reason())
            return
        self._keep_job_log(row, submission)
        with self._database.reading() as repository:
            progressed = repository.work.count_epochs(row.id) > row.epochs_at_start
        deaths = 0 if progressed else row.idle_deaths + 1
        loss = f"driver {row.driver_attempt} is gone ({seen.message or 'Ray does not know its job'})"
        if deaths > self._settings.max_driver_deaths:
            reason = failed(f"{loss}; {deaths} drivers in a row have died without committing an epoch")
            self.fail(row, FailureType.ENGINE_LOST, WorkState.FAILED, reason)
            return
        wait_s = 0.0 if progressed else min(2.0 ** (deaths - 1), MAX_BACKOFF_S)
        retry_at = utc_now() + timedelta(seconds=wait_s)
        log.warning("experiment %s: %s; the next one starts in %.0f s", row.id, loss, wait_s)
        self.advance(row, state, reason=driver_lost(loss), idle_deaths=deaths, retry_at=retry_at)

    def stop_driver(self, row: ExperimentRow, state: ExperimentState, submission: str) -> None:
        """Ask Ray to stop the driver; if a pause is wanted, put the experiment into `pausing`."""
        if wanted_now(row) is Wanted.CANCEL:
            self._tell_of_cancel(row)
        answer = self._jobs.stop(submission)
        reason = storage_trouble(row.hold) if row.is_held and answer is None else asked_to_stop(answer)
        after = ExperimentState.PAUSING if wanted_now(row) is Wanted.PAUSE else state
        if (after, reason) != (state, row.current_reason()):
            self.advance(row, after, reason=reason)

    def _tell_of_cancel(self, row: ExperimentRow) -> None:
        """Tell the driver that this is the end, so that it makes a report: a stop for a pause looks the same to it."""
        try:
            self._folder(row.id).cancelled(row.driver_attempt).touch()
        except OSError as error:  # it is stopped all the same
            log.warning("experiment %s ends without a report in MLflow: %s", row.id, error)

    def rest(self, row: ExperimentRow, state: ExperimentState, after: ExperimentState, reason: Reason) -> None:
        """Pause or queue an experiment without a driver: running chains wait, the count of lost drivers is reset."""
        with self._database.session() as repository:
            if repository.transitions.advance(
                row.id, state, after, seen_attempt=row.driver_attempt, reason=reason, idle_deaths=0, retry_at=None
            ):
                repository.work.rest_running(row.id)

    def fence(self, row: ExperimentRow) -> None:
        """Make the newest driver's folder: if its job reaches Ray late, it finds the folder and stops."""
        if row.driver_attempt > 0:
            self._folder(row.id).driver(row.driver_attempt).mkdir(parents=True, exist_ok=True)

    def fail(self, row: ExperimentRow, type_: FailureType, rest: WorkState, reason: Reason) -> None:
        """End an experiment as failed; its unfinished chains and stages get the state `rest`."""
        self.conclude(
            row, ExperimentState.FAILED, rest, reason, failure=Failure.of(type_, reason.words).summary.as_json()
        )

    def conclude(
        self, row: ExperimentRow, state: ExperimentState, rest: WorkState, reason: Reason, **changes: object
    ) -> None:
        """End an experiment; its unfinished chains and stages get the state `rest`."""
        with self._database.session() as repository:
            before = ExperimentState(row.state)
            if repository.transitions.advance(
                row.id, before, state, seen_attempt=row.driver_attempt, reason=reason, **changes
            ):
                repository.work.end_unfinished(row.id, rest)

    def note(self, row: ExperimentRow, reason: Reason) -> None:
        """Change only the reason."""
        if reason != row.current_reason():
            self.advance(row, ExperimentState(row.state), reason=reason)

    def advance(self, row: ExperimentRow, after: ExperimentState, *, reason: Reason, **changes: object) -> None:
        """Change the state and other columns, if the experiment still has the state and the driver of `row`."""
        with self._database.session() as repository:
            before = ExperimentState(row.state)
            repository.transitions.advance(
                row.id, before, after, seen_attempt=row.driver_attempt, reason=reason, **changes
            )

    def _keep_job_log(self, row: ExperimentRow, submission: str) -> None:
        """Copy the job's output to the storage: Ray loses it with the node."""
        logs = self._jobs.logs(submission)
        if logs is not None:
            folder = self._folder(row.id)
            write_atomic(folder.drivers / f"{row.driver_attempt:04d}.job.log", logs.encode())

    def _folder(self, experiment_id: str) -> ExperimentFolder:
        return ExperimentFolder(self._settings.storage, experiment_id)


def wanted_now(row: ExperimentRow) -> Wanted:
    """Return what is wanted now: a pause if the service holds the experiment, unless it is to be cancelled."""
    return Wanted.PAUSE if row.is_held and row.wanted is Wanted.RUN else row.wanted

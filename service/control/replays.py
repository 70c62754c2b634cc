"""Verifications: for each, a Ray job replays a stage and writes its result to the storage."""

import json
import logging
import math
import sys
from typing import assert_never

from service.control.driver_job import ENVIRONMENT, arguments_for
from service.control.jobs import JobStatus, RayJob, RayJobs
from service.events import utc_now
from service.settings import Settings
from service.states import VerificationState
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.tables import VerificationRow

log = logging.getLogger(__name__)

# Largest number of verifications in one round; later rounds do the rest. Each verification needs a call to Ray, which
# takes tens of ms, and there may be many verifications.
MAX_PER_ROUND = 10
# A verification fails after this number of jobs without a result.
MAX_JOBS = 3
# The settings that are passed to a replay, each with its argument.
REPLAY_SETTINGS = {"storage": "--storage", "data": "--data"}


class Replays:
    """The work on verifications that have not ended. Every action may be repeated, as in the reconciler."""

    def __init__(self, database: Database, jobs: RayJobs, settings: Settings) -> None:
        self._database, self._jobs, self._settings = database, jobs, settings
        self._round = 0

    def look_after(self) -> None:
        """Do one round: submit jobs and store results. With many verifications, a round covers only a part of them."""
        with self._database.reading() as repository:
            open_rows = repository.verifications.list_open()
        num_rounds = max(1, math.ceil(len(open_rows) / MAX_PER_ROUND))
        self._round = (self._round + 1) % num_rounds
        for row in open_rows[self._round :: num_rounds]:
            try:
                self._update(row)
            except Exception:  # the next round tries again
                log.exception("verification %d of %s could not be updated", row.number, row.experiment_id)

    def _update(self, row: VerificationRow) -> None:
        if self._store_result(row):
            return
        job = self._job(row)
        seen = self._jobs.observe(job.submission_id)
        match seen.status:
            case JobStatus.ABSENT:
                problem = self._jobs.submit(job)
                self._change(row, reason=f"Ray did not accept the job: {problem}" if problem else "")
            case JobStatus.PENDING:
                pass
            case JobStatus.RUNNING:
                self._change(row, state=VerificationState.RUNNING, reason="")
            case JobStatus.UNKNOWN:
                self._change(row, reason=f"Ray does not answer: {seen.message}")
            case JobStatus.ENDED:
                if not self._store_result(row):  # the result may have been written meanwhile
                    self._follow_lost_job(row, seen.message)
            case _:
                assert_never(seen.status)

    def _follow_lost_job(self, row: VerificationRow, message: str) -> None:
        """Plan another job after one that ended without a result, or give up after `MAX_JOBS` jobs."""
        if row.job_attempt < MAX_JOBS:
            self._change(row, job_attempt=row.job_attempt + 1, reason=f"its job is gone ({message})")
        else:
            reason = f"{MAX_JOBS} jobs have ended without a result; the last one: {message}"
            self._change(row, state=VerificationState.FAILED, reason=reason, finished_at=utc_now())

    def _store_result(self, row: VerificationRow) -> bool:
        file = ExperimentFolder(self._settings.storage, row.experiment_id).verification(row.number) / "result.json"
        try:
            result = json.loads(file.read_bytes())
        except FileNotFoundError:
            return False
        state, reason = VerificationState(result.pop("state")), result.pop("reason")
        self._change(row, state=state, reason=reason, result=result, finished_at=utc_now())
        return True

    def _change(self, row: VerificationRow, **changes: object) -> None:
        if all(getattr(row, key) == value for key, value in changes.items()):
            return
        with self._database.session() as repository:
            current = repository.verifications.get(row.experiment_id, row.number)
            for key, value in changes.items():
                setattr(current, key, value)

    def _job(self, row: VerificationRow) -> RayJob:
        name = f"tet-{row.experiment_id}-v{row.number}-{row.job_attempt}"
        entrypoint = [
            sys.executable,
            "-m",
            "service.runner.verify",
            "--experiment",
            row.experiment_id,
            "--number",
            str(row.number),
            "--chain",
            row.chain_id,
            "--stage",
            str(row.stage),
            *arguments_for(self._settings, REPLAY_SETTINGS),
        ]
        metadata = {"experiment": row.experiment_id, "verification": str(row.number), "job_name": name}
        return RayJob(name, tuple(entrypoint), metadata, ENVIRONMENT)

"""The housekeeper: removes what is not to be kept of ended experiments, and delivers their webhooks.

A thread of its own: a slow web address, or a file system with a million files, must not delay other experiments.
"""

import logging
import time
from typing import assert_never

from service.control import webhook
from service.control.background import BackgroundThread
from service.control.removal import remove_checkpoints, remove_folder, remove_from_mlflow
from service.errors import Conflict, NotFound
from service.events import utc_now
from service.settings import Settings
from service.states import Cleanup
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.tables import ExperimentRow

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
# A removal that failed is tried again so much later.
RETRY_S = 30.0
NOTICES_A_ROUND = 20


class Housekeeper(BackgroundThread):
    """The thread, and one round of its work. Every step may be repeated, even by two of them at once."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__("housekeeper", INTERVAL_S)
        self._database, self._settings = database, settings
        self._not_before: dict[str, float] = {}

    def round(self) -> None:
        """Do one round: delete what has expired, remove what is to be removed, deliver due webhooks."""
        self._expire()
        with self._database.reading() as repository:
            rows = repository.upkeep.to_clean()
        for row in rows:
            if self.is_asked_to_stop:
                return
            if time.monotonic() >= self._not_before.get(row.id, 0.0):
                self._clean_or_later(row)
        with self._database.reading() as repository:
            due = repository.upkeep.to_notify(utc_now(), NOTICES_A_ROUND)
        for row in due:
            if not self.is_asked_to_stop:
                self._notify(row)

    def _expire(self) -> None:
        with self._database.reading() as repository:
            ids = repository.upkeep.expired(utc_now())
        for experiment_id in ids:
            try:
                with self._database.session() as repository:
                    repository.requests.remove(experiment_id, Cleanup.EVERYTHING)
                log.info("experiment %s has expired and is being deleted", experiment_id)
            except Conflict:  # another experiment starts from its checkpoints, and has to be deleted first
                continue
            except NotFound:
                continue

    def _clean_or_later(self, row: ExperimentRow) -> None:
        try:
            problem = self._clean(row)
        except OSError as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            log.warning("experiment %s could not be cleaned up: %s; trying again later", row.id, problem)
            self._not_before[row.id] = time.monotonic() + RETRY_S

    def _clean(self, row: ExperimentRow) -> str | None:
        """Remove what is to be removed; return what went wrong, or None."""
        folder, what = ExperimentFolder(self._settings.storage, row.id), Cleanup(row.cleanup or "")
        match what:
            case Cleanup.BEST | Cleanup.CHECKPOINTS:
                return self._remove_checkpoints(folder, what)
            case Cleanup.EVERYTHING:
                return self._delete(folder, row)
            case _:
                assert_never(what)

    def _delete(self, folder: ExperimentFolder, row: ExperimentRow) -> str | None:
        remove_folder(folder)
        problem = remove_from_mlflow(self._settings, row.mlflow_experiment_id)
        if problem is None:
            with self._database.session() as repository:
                repository.upkeep.delete(row.id)
            log.info("experiment %s was deleted", row.id)
        return problem

    def _remove_checkpoints(self, folder: ExperimentFolder, what: Cleanup) -> str | None:
        with self._database.session() as repository:
            # Locked, so that no fork is created while its checkpoints are removed.
            row = repository.upkeep.get_locked(folder.experiment_id)
            if row is None or row.cleanup != what:
                return None
            if repository.experiments.heirs(row.id):
                return "another experiment starts from its checkpoints"
            remove_checkpoints(folder, what)
            row.cleanup = None
            row.checkpoints_removed_at = utc_now() if what is Cleanup.CHECKPOINTS else None
        return None

    def _notify(self, row: ExperimentRow) -> None:
        now = utc_now()
        problem = webhook.deliver(
            row,
            key=webhook.secret(self._settings.webhook_secret_file),
            hosts=self._settings.webhook_hosts,
            comparison_url=f"{self._settings.api_url}/experiments/{row.id}/comparison",
            now=now,
        )
        with self._database.session() as repository:
            fresh = repository.upkeep.get_locked(row.id)
            if fresh is None or fresh.generation != row.generation or fresh.notify_at is None:
                return
            fresh.notify_tries += 1
            fresh.notify_error = problem or ""
            fresh.notified_at = None if problem else now
            fresh.notify_at = webhook.next_try(fresh.notify_tries, now) if problem else None
        if problem:
            log.warning("experiment %s: its webhook was not delivered: %s", row.id, problem)

"""Does what is to be done after an experiment's end: removes what is not to be kept, and tells those who asked.

A thread of its own, since a slow web address, or a file system with a million files, must not keep experiments waiting.
"""

import logging
import threading
import time

from service.control import webhook
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
# What could not be done is tried again this much later.
RETRY_S = 30.0
NOTICES_A_ROUND = 20


class Housekeeper:
    """The thread, and one round of its work. Every step may be repeated, by two of them at once too."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._not_before: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="housekeeper", daemon=True)

    def start(self) -> None:
        """Begin to work in the background."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """End the thread after the step it is in."""
        self._stop.set()

    def ended_within(self, wait_s: float) -> bool:
        """Whether the thread is at its end, now or after a wait of at most `wait_s`."""
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self.tidy()
            except Exception:  # a round that fails must not end the service
                log.exception("a round of the housekeeper failed; the next one follows")
            self._stop.wait(INTERVAL_S)

    def tidy(self) -> None:
        """One round: what has outlived its time, what is to be removed, who is to be told."""
        self._expire()
        with self._database.reading() as repository:
            rows = repository.upkeep.to_clean()
        for row in rows:
            if self._stop.is_set():
                return
            if time.monotonic() >= self._not_before.get(row.id, 0.0):
                self._clean_or_later(row)
        with self._database.reading() as repository:
            due = repository.upkeep.to_notify(utc_now(), NOTICES_A_ROUND)
        for row in due:
            if not self._stop.is_set():
                self._notify(row)

    def _expire(self) -> None:
        with self._database.reading() as repository:
            ids = repository.upkeep.expired(utc_now())
        for experiment_id in ids:
            try:
                with self._database.session() as repository:
                    repository.requests.remove(experiment_id, Cleanup.EVERYTHING)
                log.info("experiment %s has outlived its time and is deleted", experiment_id)
            except Conflict:  # another one starts from its checkpoints: it goes after that one
                continue
            except NotFound:
                continue

    def _clean_or_later(self, row: ExperimentRow) -> None:
        try:
            problem = self._clean(row)
        except OSError as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            log.warning("experiment %s could not be cleaned up: %s; it is tried again", row.id, problem)
            self._not_before[row.id] = time.monotonic() + RETRY_S

    def _clean(self, row: ExperimentRow) -> str | None:
        """Remove what is to be removed; what went wrong, in words, or None."""
        folder, what = ExperimentFolder(self._settings.storage, row.id), Cleanup(row.cleanup or "")
        if what is not Cleanup.EVERYTHING:
            return self._remove_checkpoints(folder, what)
        remove_folder(folder)
        problem = remove_from_mlflow(self._settings, row.mlflow_experiment_id)
        if problem is None:
            with self._database.session() as repository:
                repository.upkeep.delete(row.id)
            log.info("experiment %s is deleted", row.id)
        return problem

    def _remove_checkpoints(self, folder: ExperimentFolder, what: Cleanup) -> str | None:
        with self._database.session() as repository:
            # Locked, so that no fork begins to start from what is being removed.
            row = repository.upkeep.locked(folder.experiment_id)
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
            fresh = repository.upkeep.locked(row.id)
            if fresh is None or fresh.generation != row.generation or fresh.notify_at is None:
                return
            fresh.notify_tries += 1
            fresh.notify_error = problem or ""
            fresh.notified_at = None if problem else now
            fresh.notify_at = webhook.next_try(fresh.notify_tries, now) if problem else None
        if problem:
            log.warning("experiment %s: its webhook was not taken: %s", row.id, problem)

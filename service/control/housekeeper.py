"""The housekeeper deletes checkpoints and whole experiments that are not to be kept.

It has a thread of its own: a folder with a million files must not delay the reconciler.
"""

import logging
import time
from typing import assert_never

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

# Seconds between two rounds.
INTERVAL_S = 1.0
# Seconds before a failed removal is tried again.
RETRY_S = 30.0


class Housekeeper(BackgroundThread):
    """The thread of the housekeeper. Every step may be repeated, even by two housekeepers at once."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__("housekeeper", INTERVAL_S)
        self._database, self._settings = database, settings
        self._next_try_at: dict[str, float] = {}

    def round(self) -> None:
        """Do one round: mark expired experiments for deletion, remove marked data."""
        self._expire()
        with self._database.reading() as repository:
            rows = repository.upkeep.to_clean()
        for row in rows:
            if self.is_asked_to_stop:
                return
            if time.monotonic() >= self._next_try_at.get(row.id, 0.0):
                self._try_to_remove(row)

    def _expire(self) -> None:
        with self._database.reading() as repository:
            ids = repository.upkeep.expired(utc_now())
        for experiment_id in ids:
            try:
                with self._database.session() as repository:
                    repository.requests.remove(experiment_id, Cleanup.EVERYTHING)
                log.info("experiment %s has expired, and is being deleted", experiment_id)
            except Conflict:  # another experiment starts from its checkpoints, and has to be deleted before this one
                continue
            except NotFound:
                continue

    def _try_to_remove(self, row: ExperimentRow) -> None:
        try:
            problem = self._remove(row)
        except OSError as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            log.warning("experiment %s: the removal failed: %s; it is tried again later", row.id, problem)
            self._next_try_at[row.id] = time.monotonic() + RETRY_S

    def _remove(self, row: ExperimentRow) -> str | None:
        """Remove the checkpoints or the whole experiment; return why that failed, or None."""
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
            # Lock the row, so that no fork is created while the checkpoints that it needs are removed.
            row = repository.upkeep.get_locked(folder.experiment_id)
            if row is None or row.cleanup != what:
                return None
            if repository.experiments.heirs(row.id):
                return "another experiment starts from its checkpoints"
            remove_checkpoints(folder, what)
            row.cleanup = None
            row.checkpoints_removed_at = utc_now() if what is Cleanup.CHECKPOINTS else None
        return None

"""The curves of experiments that ended under an earlier version: they are read from storage, once."""

import logging

from service.control.background import BackgroundThread
from service.curves import from_text, stored_as_text
from service.settings import Settings
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.stored_curves import EndedStage

log = logging.getLogger(__name__)

# Seconds between two rounds, and the number of experiments of one round.
INTERVAL_S = 5.0
AT_ONCE = 10


class CurvesFiller(BackgroundThread):
    """The thread that fills in curves. Every step may be repeated, even by two threads at once."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__("filler of curves", INTERVAL_S)
        self._database, self._settings = database, settings

    def round(self) -> None:
        """Fill in the curves of some experiments that have ended."""
        with self._database.reading() as repository:
            ids = repository.curves.to_fill(AT_ONCE)
        for experiment_id in ids:
            if self.is_asked_to_stop:
                return
            self.give_sign()
            self._fill(experiment_id)

    def _fill(self, experiment_id: str) -> None:
        folder = ExperimentFolder(self._settings.storage, experiment_id)
        with self._database.reading() as repository:
            missing = repository.curves.missing(experiment_id)
        for stage in missing:
            packed, error = _read(folder, stage)
            with self._database.session() as repository:
                repository.curves.put(experiment_id, stage.chain, stage.index, packed, error)
        with self._database.session() as repository:
            repository.curves.filled(experiment_id)
        if missing:
            log.info("experiment %s: the curves of %d stages were filled in from storage", experiment_id, len(missing))


def _read(folder: ExperimentFolder, stage: EndedStage) -> tuple[bytes | None, str]:
    """Return the packed curves of a stage, or None and why there are none."""
    try:
        text = stored_as_text(stage.kind, folder.stage(stage.chain, stage.index))
    except (OSError, ValueError) as error:
        return None, f"{type(error).__name__}: {error}"
    return (None, "its files are gone") if text is None else (from_text(text), "")

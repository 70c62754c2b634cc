"""The curves that are missing when an experiment has ended: they are read from storage, once.

An earlier version did not state them, or a driver could not read a file when it did.
"""

import logging
import time
from collections.abc import Callable

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
# Seconds before an experiment is tried again whose files could not be read.
RETRY_S = 60.0


class CurvesFiller(BackgroundThread):
    """The thread that fills in curves. Every step may be repeated, even by two threads at once."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("filler of curves", INTERVAL_S)
        self._database, self._settings, self._clock = database, settings, clock
        self._next_try_at: dict[str, float] = {}

    def round(self) -> None:
        """Fill in the curves of some experiments that have ended."""
        now = self._clock()
        self._next_try_at = {each: due for each, due in self._next_try_at.items() if due > now}
        with self._database.reading() as repository:
            ids = repository.curves.to_fill(AT_ONCE, without=self._next_try_at.keys())
        for experiment_id in ids:
            if self.is_asked_to_stop:
                return
            self.give_sign()
            try:
                self._fill(experiment_id)
            except OSError as error:  # the storage may answer later
                log.warning("experiment %s: its curves cannot be read from storage yet: %s", experiment_id, error)
                self._next_try_at[experiment_id] = now + RETRY_S

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
            log.info("experiment %s: the curves of %d stages were read from storage", experiment_id, len(missing))


def _read(folder: ExperimentFolder, stage: EndedStage) -> tuple[bytes | None, str]:
    """Return the packed curves of a stage, or None and why there are none.

    Raises:
        OSError: The storage does not answer, or is not there.
    """
    if not folder.storage.is_dir():
        raise FileNotFoundError(f"there is no folder {folder.storage}")
    try:
        text = stored_as_text(stage.kind, folder.stage(stage.chain, stage.index))
    except FileNotFoundError as error:
        return None, f"a file is gone: {error.filename}"
    except ValueError as error:
        return None, f"{type(error).__name__}: {error}"
    return (None, "its files are gone") if text is None else (from_text(text), "")

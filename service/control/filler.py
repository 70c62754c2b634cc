"""The base of the threads that fill in what is missing when an experiment has ended, from storage, once."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Collection

from service.control.background import BackgroundThread
from service.settings import Settings
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.repository import Repository

log = logging.getLogger(__name__)

# Seconds between two rounds, and the number of experiments of one round.
INTERVAL_S = 5.0
AT_ONCE = 10
# Seconds before an experiment is tried again whose files could not be read.
RETRY_S = 60.0


class Filler(BackgroundThread):
    """A thread that fills in one kind of values. Every step may be repeated, even by two threads at once.

    Args:
        what: The values, in words.
        database: The database.
        settings: The service's settings.
        clock: A monotonic clock, in s.
    """

    def __init__(self, what: str, database: Database, settings: Settings, clock: Callable[[], float]) -> None:
        super().__init__(f"filler of {what}", INTERVAL_S)
        self._what, self._database, self._settings, self._clock = what, database, settings, clock
        self._next_try_at: dict[str, float] = {}

    def round(self) -> None:
        """Fill in the values of some experiments that have ended."""
        now = self._clock()
        self._next_try_at = {each: due for each, due in self._next_try_at.items() if due > now}
        with self._database.reading() as repository:
            ids = self.to_fill(repository, AT_ONCE, self._next_try_at.keys())
        for experiment_id in ids:
            if self.is_asked_to_stop:
                return
            self.give_sign()
            try:
                self.fill(self._database, ExperimentFolder(self._settings.storage, experiment_id))
            except OSError as error:  # the storage may answer later
                log.warning(
                    "experiment %s: its %s cannot be read from storage yet: %s", experiment_id, self._what, error
                )
                self._next_try_at[experiment_id] = now + RETRY_S
            except Exception:  # whatever it is, the other experiments are filled in
                log.exception("experiment %s: its %s cannot be filled in", experiment_id, self._what)
                self._next_try_at[experiment_id] = now + RETRY_S

    @abstractmethod
    def to_fill(self, repository: Repository, limit: int, without: Collection[str]) -> list[str]:
        """Return at most `limit` ids of experiments that have ended and may lack values."""

    @abstractmethod
    def fill(self, database: Database, folder: ExperimentFolder) -> None:
        """Fill in the values of an experiment, and note that this was done.

        Raises:
            OSError: The storage does not answer, or is not there.
        """


def check_storage(folder: ExperimentFolder) -> None:
    """Check that the storage is there, because otherwise every file would seem to be gone.

    Raises:
        FileNotFoundError: It is not there.
    """
    if not folder.storage.is_dir():
        raise FileNotFoundError(f"there is no folder {folder.storage}")

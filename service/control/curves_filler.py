"""The curves that are missing when an experiment has ended: they are read from storage, once.

They are missing if an earlier version ran the experiment, or if a driver could not read a file of a stage.
"""

import logging
import time
from collections.abc import Callable, Collection

from service.control.filler import Filler, check_storage
from service.curves import from_text, stored_as_text
from service.settings import Settings
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.repository import Repository
from service.store.stored_curves import EndedStage

log = logging.getLogger(__name__)


class CurvesFiller(Filler):
    """The thread that fills in curves."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("curves", database, settings, clock)

    def to_fill(self, repository: Repository, limit: int, without: Collection[str]) -> list[str]:
        """Return the ids of experiments whose curves may be missing."""
        return repository.curves.to_fill(limit, without)

    def fill(self, database: Database, folder: ExperimentFolder) -> None:
        """Fill in the curves of an experiment."""
        experiment_id = folder.experiment_id
        with database.reading() as repository:
            generation = repository.experiments.get(experiment_id).generation
            missing = repository.curves.missing(experiment_id)
        for stage in missing:
            if self.is_asked_to_stop:
                return
            self.give_sign()
            packed, error = _read(folder, stage)
            with database.session() as repository:
                repository.curves.put(experiment_id, stage.chain, stage.index, packed, error)
        with database.session() as repository:
            repository.curves.filled(experiment_id, generation)
        if missing:
            log.info(
                "experiment %s: the curves of %d stages were read from storage where possible",
                experiment_id,
                len(missing),
            )


def _read(folder: ExperimentFolder, stage: EndedStage) -> tuple[bytes | None, str]:
    """Return the packed curves of a stage, or None and why there are none.

    Raises:
        OSError: The storage does not answer, or is not there.
    """
    check_storage(folder)
    try:
        text = stored_as_text(stage.kind, folder.stage(stage.chain, stage.index))
    except FileNotFoundError as error:
        return None, f"a file is gone: {error.filename}"
    except ValueError as error:
        return None, f"{type(error).__name__}: {error}"
    return (None, "its files are gone") if text is None else (from_text(text), "")

"""The resampled pairs that are missing when an experiment has ended: they are computed from storage, once.

They are missing if an earlier version ran the experiment, if the experiment was cancelled before its driver had
computed them, or if the driver could not read a file.
"""

import logging
import time
from collections.abc import Callable, Collection

from service.control.filler import Filler, check_storage
from service.resampled_pairs import resample
from service.results.pairs_to_resample import lacking, pairs_to_resample
from service.settings import Settings
from service.spec import parse
from service.storage import ExperimentFolder
from service.store.database import Database
from service.store.repository import Repository

log = logging.getLogger(__name__)


class ResamplingFiller(Filler):
    """The thread that fills in resampled pairs."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("bits of test samples", database, settings, clock)

    def to_fill(self, repository: Repository, limit: int, without: Collection[str]) -> list[str]:
        """Return the ids of experiments whose resampled pairs may be missing."""
        return repository.resampled.to_fill(limit, without)

    def fill(self, database: Database, folder: ExperimentFolder) -> None:
        """Resample the pairs of an experiment that have no result yet, or only one over other seeds or networks."""
        experiment_id = folder.experiment_id
        with database.reading() as repository:
            row = repository.experiments.get(experiment_id)
            generation, spec = row.generation, parse(row.spec)
            chains = repository.outcomes.of(experiment_id)
            known = [each for each in repository.resampled.of(experiment_id) if each.result is not None]
        missing = lacking(pairs_to_resample(spec, chains), known)
        for pair in missing:
            if self.is_asked_to_stop:
                return
            check_storage(folder)
            self.give_sign()
            found = resample(pair, folder)
            if found.error:
                log.warning("experiment %s: %s minus %s: %s", experiment_id, pair.arm, pair.to, found.error)
            with database.session() as repository:
                repository.resampled.put(experiment_id, found)
        with database.session() as repository:
            repository.resampled.filled(experiment_id, generation)
        if missing:
            log.info(
                "experiment %s: %d pairs of arms were resampled from storage where possible",
                experiment_id,
                len(missing),
            )

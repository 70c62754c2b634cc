"""The subjects of a check: one configuration of the experiment for each key.

A key is the SHA-256 of the settings that decide whether a stage can run at all. The seed and the number of epochs, for
example, do not decide this. If one stage cannot run, no stage with the same key can.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator

from service.plan import Chain
from service.spec.experiment import StageConfig
from tet_core.config import AnalysisConfig, TrainConfig

# The largest number of subjects of one check. A search over widths may have thousands. A configuration that is not
# checked fails in its own trial if it cannot run.
MAX_SUBJECTS = 64
# The largest number of configurations of a search for which keys are computed: one key takes roughly 0.1 ms.
MAX_CONFIGURATIONS = 2_000
# The settings that do not decide whether a stage can run: they set the random draws, the duration or the optimiser's
# steps, or they are the same in the whole experiment. There is one exception: a network from a package may refuse
# small batches. The examination then tries a batch of the configuration's own size, but this size is not in the key.
_FREE = {"seed", "epochs", "epoch_offset", "schedule_offset", "schedule_epochs", "inherit"} | {
    *("optimizer", "schedule", "batch_size", "num_threads", "device", "deterministic")
}
# The settings that decide whether the data set can be loaded and split. For recordings of events T decides too, because
# they are cut into T frames.
_OF_DATA = ("dataset", "validation", "train_part")


def trained(config: StageConfig) -> TrainConfig:
    """Return the training that a stage runs or analyses."""
    return config.train if isinstance(config, AnalysisConfig) else config


def subject_key(config: TrainConfig) -> str:
    """Return the key of a stage; stages with equal keys have the same faults."""
    return _hash(config.model_dump(mode="json", exclude=_FREE))


def data_key(config: TrainConfig) -> str:
    """Return the key of a stage's data; stages with equal keys have the same faults when they load it."""
    fields = config.model_dump(mode="json", include=set(_OF_DATA))
    return _hash(fields | ({"T": config.T} if config.dataset.card().is_events else {}))


def subjects_of(first: TrainConfig, chains: Iterable[Chain]) -> list[TrainConfig]:
    """Return a configuration for each key, in order, at most `MAX_SUBJECTS`.

    Args:
        first: The training of the trial that makes the check. That trial loads its data set anyway.
        chains: The experiment's chains.
    """
    found = {subject_key(first): first}
    for config in configurations_of(chains):
        if len(found) >= MAX_SUBJECTS:
            break
        found.setdefault(subject_key(config), config)
    return [*found.values()]


def configurations_of(chains: Iterable[Chain]) -> Iterator[TrainConfig]:
    """Yield all trainings of one chain of each configuration, for at most `MAX_CONFIGURATIONS` configurations.

    Chains whose values a search has not proposed yet are left out.
    """
    firsts: dict[tuple[str, int], Chain] = {}
    for chain in chains:
        if chain.proposed and len(firsts) < MAX_CONFIGURATIONS:
            firsts.setdefault((chain.arm, chain.number), chain)
    for chain in firsts.values():
        yield from (trained(stage.config) for stage in chain.train_stages)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

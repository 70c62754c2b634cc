"""The examination of an experiment's configurations on a node: the data set, and one small batch with each network.

A fault is reported only if every stage with the same key would meet it. A lack of memory, a loss that is not finite and
a storage that does not answer are not reported: the trials deal with them. A fault that comes from the machine, such as
from a broken GPU, is reported as such: another node may find none.
"""

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from service.failures import Failure
from service.runner.checking.check_records import CheckFault, CheckReport, FaultScope
from service.runner.checking.check_subjects import data_key, subject_key
from service.runner.diagnosis import diagnose, hits_alike, is_caused_by_machine
from tet_core import environment
from tet_core.config import EntryPointModel, TrainConfig
from tet_core.data import Dataset, load_dataset
from tet_core.errors import ConfigError
from tet_core.inventory.scanning import OutOfTime
from tet_core.train.first_batch import check_samples, try_batch

# The number of samples in a batch, and the largest T. It is two, because a norm over one value may not be defined.
SMALL = 2
# The time, in s, after which no further configuration is examined. The trial that makes the check waits for its end.
BUDGET_S = 20.0


def examine(
    subjects: Sequence[TrainConfig],
    data_root: Path | None,
    *,
    node: str = "",
    budget_s: float = BUDGET_S,
    load_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> CheckReport:
    """Examine configurations on this node: always the first one, and the others while there is time.

    Args:
        subjects: The configurations. The data set of the first one is loaded, as its trial would load it.
        data_root: The folder of the data sets; None: the default folder of tet_core.
        node: The node's id in Ray, for the report.
        budget_s: The time, in s, after which no further configuration is examined.
        load_s: The time, in s, after which a check of all files of a data set is left to the trials, which make steps
            meanwhile and go on where it ends; None: it is made to its end.
        clock: A monotonic clock, in s.
    """
    start = clock()

    def on_step() -> None:
        if load_s is not None and clock() - start >= load_s:
            raise OutOfTime

    examination = _Examination(data_root, on_step)
    checked: list[str] = []
    for number, config in enumerate(subjects):
        if number and clock() - start >= budget_s:
            break
        if examination.is_conclusive(config):
            checked.append(subject_key(config))
    return CheckReport(
        host=socket.gethostname(),
        node=node,
        at_ms=time.time_ns() // 1_000_000,
        num_subjects=len(subjects),
        checked=tuple(checked),
        faults=tuple(examination.faults),
    )


def examine_elsewhere(subjects: Sequence[dict[str, Any]], data_root: str | None, node: str) -> str:
    """Examine configurations on the node of this task; return the report as JSON. Without a GPU, use the CPU."""
    configs = [TrainConfig.model_validate(each) for each in subjects]
    if not torch.cuda.is_available():
        configs = [each.model_copy(update={"device": "cpu"}) for each in configs]
    return examine(configs, None if data_root is None else Path(data_root), node=node).model_dump_json()


@dataclass
class _Examination:
    """The examination of one configuration after another.

    The data of the first configuration is loaded. In the place of other data (recordings that are cut for another T), a
    batch of zeros is used. But if the data of the first configuration cannot be loaded, the other data is loaded too:
    it fails alike, before anything is cut.
    """

    data_root: Path | None
    on_step: Callable[[], None]
    faults: list[CheckFault] = field(default_factory=list)
    _loaded: dict[str, Dataset | None] = field(default_factory=dict)

    def is_conclusive(self, config: TrainConfig) -> bool:
        """Examine a configuration, and note a fault; return whether it is now certain that it can, or cannot, run."""
        key = data_key(config)
        if key not in self._loaded and (not self._loaded or None in self._loaded.values()):
            self._loaded[key] = self._load(config, key)
        if self._loaded.get(key, config) is None:
            return any(fault.key == key and not fault.of_machine for fault in self.faults)
        return self._try(config, self._loaded.get(key))

    def _load(self, config: TrainConfig, key: str) -> Dataset | None:
        try:
            with environment.applied(config):
                dataset = load_dataset(config.dataset, self.data_root, T=config.T, on_step=self.on_step)
                check_samples(config, dataset)
        except OutOfTime:
            return None
        except Exception as error:
            of_machine = is_caused_by_machine(error) or _has_lost_its_gpu(error)
            self._note(FaultScope.DATA, key, diagnose(error), of_machine=of_machine)
            return None
        return dataset

    def _try(self, config: TrainConfig, dataset: Dataset | None) -> bool:
        # A network from a package may depend on T, so T stays. It may also refuse a small batch: a whole batch decides.
        is_ours = not isinstance(config.model, EntryPointModel)
        tried = config.model_copy(update={"T": min(config.T, SMALL)}) if is_ours else config
        for size in (SMALL,) if is_ours else (SMALL, config.batch_size):
            try:
                try_batch(tried, dataset, size)
            except Exception as error:
                failure = diagnose(error)
                # The data could be read, so a file that cannot be is one of the machine, such as a cache of kernels.
                of_machine = isinstance(error, OSError) or is_caused_by_machine(error) or _has_lost_its_gpu(error)
            else:
                return True
        return self._note(FaultScope.SUBJECT, subject_key(config), failure, of_machine=of_machine)

    def _note(self, scope: FaultScope, key: str, failure: Failure, *, of_machine: bool) -> bool:
        """Note a fault, if stages with the key would meet it here; return whether it is certain that all of them do."""
        is_fault = hits_alike(failure)
        if is_fault:
            self.faults.append(CheckFault(scope=scope, key=key, failure=failure, of_machine=of_machine))
        return is_fault and not of_machine


def _has_lost_its_gpu(error: Exception) -> bool:
    """Return whether torch finds no GPU although Ray has given one to this process."""
    is_missing = isinstance(error, ConfigError) and error.field == "device"
    return is_missing and bool(os.environ.get("CUDA_VISIBLE_DEVICES"))

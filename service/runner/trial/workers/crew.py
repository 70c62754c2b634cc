"""The crew: the workers that a trial needs, their backend and their timeout."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.runner.trial.config import TrialConfig
from service.spec.blocks import Limits

# The timeout of a collective operation: TIMEOUT_FACTOR * limits.stall_s, at least LEAST_TIMEOUT_S; without stall_s,
# NO_TIMEOUT_S (in s). The watchdog ends a trial whose first worker stops answering. This timeout is for the other
# workers. It must be longer than the first worker takes to commit an epoch to a slow storage.
TIMEOUT_FACTOR, LEAST_TIMEOUT_S, NO_TIMEOUT_S = 2.0, 600.0, 7 * 86_400.0


@dataclass(frozen=True)
class Crew:
    """The workers that a trial needs.

    Attributes:
        label: The trial's label.
        num: The number of workers, including the first one.
        demand: The resources of each worker, by Ray's names.
        config: The stage's configuration, as plain values.
        data_root: The folder of the data sets; None: the default folder of tet_core.
        stall_s: The spec's limits.stall_s, in s.
    """

    label: str
    num: int
    demand: Mapping[str, float]
    config: dict[str, Any]
    data_root: str | None
    stall_s: float | None

    @classmethod
    def of(cls, trial: TrialConfig) -> "Crew":
        """Return the workers that a trial asks for."""
        stall_s = Limits.model_validate(trial.limits).stall_s
        return cls(trial.label, trial.num_workers, trial.demand, trial.config, trial.data_root, stall_s)

    @property
    def backend(self) -> str:
        """The library by which the workers communicate."""
        return "nccl" if self.config.get("device") == "cuda" else "gloo"

    @property
    def timeout_s(self) -> float:
        """The time, in s, for which one worker waits for another."""
        return NO_TIMEOUT_S if self.stall_s is None else max(LEAST_TIMEOUT_S, TIMEOUT_FACTOR * self.stall_s)

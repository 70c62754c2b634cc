"""The workers that a trial needs, and how they communicate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.runner.trial.config import TrialConfig
from service.spec.blocks import Limits

# A worker that stops answering is the watchdog's business (limits.stall_s). This timeout is for workers that the
# watchdog does not see. It must be longer than the first worker takes to commit an epoch on a slow storage.
TIMEOUT_FACTOR, LEAST_TIMEOUT_S, NO_TIMEOUT_S = 2.0, 600.0, 7 * 86_400.0


@dataclass(frozen=True)
class Crew:
    """The workers that a trial needs.

    Attributes:
        label: The trial's label.
        num: How many workers, the first one included.
        demand: The resources of each, by Ray's names.
        config: The stage's configuration, as plain values.
        data_root: Where the data sets lie.
        stall_s: The spec's limit.
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
        """The library over which they communicate."""
        return "nccl" if self.config.get("device") == "cuda" else "gloo"

    @property
    def timeout_s(self) -> float:
        """How long one worker waits for another, in s."""
        return NO_TIMEOUT_S if self.stall_s is None else max(LEAST_TIMEOUT_S, TIMEOUT_FACTOR * self.stall_s)

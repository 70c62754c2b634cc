"""What the driver tells a trial. It loads no torch: neither does the driver, nor a trial before its first step."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrialConfig:
    """What the driver tells a trial, as Tune's config: plain values alone; `demand` is that of each of its workers."""

    experiment_id: str
    chain_id: str
    label: str
    arm: str
    seed: int
    stage_index: int
    stage_path: str
    previous_stage_path: str | None
    kind: str
    config: dict[str, Any]
    data_root: str | None
    demand: dict[str, float]
    num_workers: int = 1
    generation: int = 1
    limits: dict[str, Any] = field(default_factory=dict)
    # Whether each epoch also estimates the energy for an image; it takes a validation set.
    with_energy: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

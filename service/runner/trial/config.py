"""The configuration of a trial. This module does not load torch: the driver never needs it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from service.runner.chains.board import StageId


@dataclass(frozen=True)
class TrialConfig:
    """The configuration that the driver gives to a trial through Tune: plain values only.

    `demand` is the demand of each worker.
    """

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
    # Whether each epoch also estimates the energy for one image. This needs a validation set.
    with_energy: bool = False
    # The check that this trial makes before it starts: the file of its report, and the configurations as plain values.
    check_file: str | None = None
    check_subjects: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as a dictionary."""
        return asdict(self)


class TrialEnd(StrEnum):
    """The way in which a trial ended, as reported to Tune."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"  # another attempt has taken over


def stage_of(config: Mapping[str, Any]) -> StageId:
    """Return the stage that a trial with this configuration attempts."""
    return StageId(config["chain_id"], config["stage_index"])

"""Settings of the optimisers and of the learning-rate schedule."""

from typing import Annotated, Literal

from pydantic import Field

from tet_core.config.shared import Config


class AdamConfig(Config):
    """Adam; the paper's optimiser."""

    name: Literal["adam"] = "adam"
    lr: float = Field(1e-3, gt=0, le=1e3)
    weight_decay: float = Field(0.0, ge=0, le=1e3)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)


class SgdConfig(Config):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    lr: float = Field(0.1, gt=0, le=1e3)
    weight_decay: float = Field(0.0, ge=0, le=1e3)
    momentum: float = Field(0.9, ge=0, lt=1)


OptimizerConfig = Annotated[AdamConfig | SgdConfig, Field(discriminator="name")]


class ScheduleConfig(Config):
    """Learning rate by epoch: `cosine` falls from `lr` to `lr_min`; `constant` stays at `lr`."""

    name: Literal["cosine", "constant"] = "cosine"
    lr_min: float = Field(0.0, ge=0, le=1e3)

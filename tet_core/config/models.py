"""Models, and the normalisation within them."""

from typing import Annotated, Literal

from pydantic import Field

from tet_core.config.base import Config


class Tdbn(Config):
    """Threshold-dependent batch normalisation: statistics over time and batch, weight alpha * v_threshold at first."""

    name: Literal["tdbn"] = "tdbn"
    alpha: float = Field(1.0, gt=0, le=1e3)


class VggSmall(Config):
    """Four convolutions and one linear layer, for inputs from 8x8 up."""

    name: Literal["vgg_small"] = "vgg_small"
    width: int = Field(32, ge=1, le=1024, description="Channels of the first two convolutions; the next two: twice.")
    norm: Tdbn = Tdbn()


class VggSnn(Config):
    """The paper's VGGSNN for DVS-CIFAR10: eight convolutions, four average pools, one linear layer."""

    name: Literal["vggsnn"] = "vggsnn"
    norm: Tdbn = Tdbn()


ModelConfig = Annotated[VggSmall | VggSnn, Field(discriminator="name")]

# The smallest input side (pixels) each model takes: vgg_small halves it twice, vggsnn four times.
MIN_INPUT_SIZE = {"vgg_small": 8, "vggsnn": 16}

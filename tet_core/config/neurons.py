"""Neurons and surrogate gradients."""

from typing import Literal

from pydantic import Field

from tet_core.config.base import Config


class NeuronConfig(Config):
    """The leaky integrate-and-fire neuron with hard reset (Eq. 1-3)."""

    name: Literal["lif"] = "lif"
    tau: float = Field(0.5, ge=0, le=1, description="Decay factor of the potential at each step (no time constant).")
    v_threshold: float = Field(1.0, gt=0, le=1e6, description="The neuron fires when u is strictly above it.")


class SurrogateConfig(Config):
    """The triangle surrogate gradient (Eq. 5)."""

    name: Literal["triangle"] = "triangle"
    gamma: float = Field(1.0, gt=0, le=1e6, description="Half the width of the triangle's base.")

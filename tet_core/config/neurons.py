"""Settings of the neurons and their surrogate gradients."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tet_core.config.shared import Config

Threshold = Annotated[
    float, Field(gt=0, le=1e6, description="The neuron fires when its potential is strictly above this threshold.")
]
Width = Annotated[float, Field(gt=0, le=1e6)]


def _decay(value: object) -> object:
    """Refuse a number outside 0 to 1, and say how to convert the time constant that it probably is."""
    if isinstance(value, int | float) and not isinstance(value, bool) and not 0 <= value <= 1 and value == value:
        raise ValueError(
            "must be from 0 to 1, both included: the factor by which the potential decays at each step, not a time "
            "constant; a time constant tau, such as SpikingJelly's tau=2.0, is the factor 1 - 1/tau, here 0.5"
        )
    return value


class _Firing(Config):
    v_threshold: Threshold = 1.0
    reset: Literal["hard", "soft"] = Field("hard", description="'hard': to 0; 'soft': by subtraction of the threshold.")
    detach_reset: bool = Field(False, description="Stop the gradient at the spikes within the reset.")
    learnable_threshold: bool = Field(False, description="Train one threshold for each layer.")


class LifConfig(_Firing):
    """The leaky integrate-and-fire neuron (Eq. 1-3)."""

    name: Literal["lif"] = "lif"
    tau: Annotated[float, BeforeValidator(_decay)] = Field(
        0.5, ge=0, le=1, description="Decay factor of the potential at each step (not a time constant)."
    )
    learnable_tau: bool = Field(
        False, description="Train one decay factor for each layer; it must start strictly between 0 and 1."
    )


class IfConfig(_Firing):
    """The integrate-and-fire neuron: nothing leaks (tau = 1)."""

    name: Literal["if"] = "if"


class ReluConfig(Config):
    """max(0, I) in place of a neuron, which turns any model into its ANN."""

    name: Literal["relu"] = "relu"


NeuronConfig = Annotated[LifConfig | IfConfig | ReluConfig, Field(discriminator="name")]


class TriangleConfig(Config):
    """The triangle surrogate gradient (Eq. 5)."""

    name: Literal["triangle"] = "triangle"
    gamma: Width = Field(1.0, description="Half the width of the triangle's base.")


class RectangularConfig(Config):
    """The rectangular surrogate gradient."""

    name: Literal["rectangular"] = "rectangular"
    gamma: Width = Field(1.0, description="Half the width of the rectangle.")


class ExponentialConfig(Config):
    """The exponential surrogate gradient."""

    name: Literal["exponential"] = "exponential"
    gamma: Width = Field(1.0, description="Distance over which the derivative falls by a factor of e.")


class ArctanConfig(Config):
    """The derivative of the arctangent as surrogate gradient."""

    name: Literal["arctan"] = "arctan"
    gamma: Width = Field(1.0, description="Distance at which the derivative has fallen to half its height.")


class SigmoidForwardConfig(Config):
    """The sigmoid replaces the step in the forward pass too, and has its true gradient (Table 2)."""

    name: Literal["sigmoid_forward"] = "sigmoid_forward"
    k: float = Field(1.0, gt=0, le=1e6, description="Steepness: sigmoid(k * (u - v_threshold)).")


SurrogateConfig = Annotated[
    TriangleConfig | RectangularConfig | ExponentialConfig | ArctanConfig | SigmoidForwardConfig,
    Field(discriminator="name"),
]

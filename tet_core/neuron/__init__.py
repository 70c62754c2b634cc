"""Neurons: one step, and layers that run them over a sequence."""

from typing import assert_never

from tet_core.config import (
    ArctanConfig,
    ExponentialConfig,
    IfConfig,
    LifConfig,
    NeuronConfig,
    RectangularConfig,
    ReluConfig,
    SigmoidForwardConfig,
    SurrogateConfig,
    TriangleConfig,
)
from tet_core.neuron.layers import IF as IF
from tet_core.neuron.layers import LIF as LIF
from tet_core.neuron.layers import Neuron as Neuron
from tet_core.neuron.layers import ReLU as ReLU
from tet_core.neuron.step import LIFStep as LIFStep
from tet_core.neuron.step import lif_step as lif_step
from tet_core.surrogate import Arctan, Exponential, Rectangular, SigmoidForward, Surrogate, Triangle


def build_neuron(config: NeuronConfig, surrogate: SurrogateConfig) -> Neuron:
    """Return the layer of neurons that a config names; `relu` does not use the surrogate."""
    match config:
        case LifConfig():
            return LIF(
                config.tau,
                config.v_threshold,
                build_surrogate(surrogate),
                reset=config.reset,
                detach_reset=config.detach_reset,
                learnable_tau=config.learnable_tau,
                learnable_threshold=config.learnable_threshold,
            )
        case IfConfig():
            return IF(
                config.v_threshold,
                build_surrogate(surrogate),
                reset=config.reset,
                detach_reset=config.detach_reset,
                learnable_threshold=config.learnable_threshold,
            )
        case ReluConfig():
            return ReLU()
        case unknown:
            assert_never(unknown)


def build_surrogate(config: SurrogateConfig) -> Surrogate:
    """Return the surrogate that a config names."""
    match config:
        case TriangleConfig():
            return Triangle(config.gamma)
        case RectangularConfig():
            return Rectangular(config.gamma)
        case ExponentialConfig():
            return Exponential(config.gamma)
        case ArctanConfig():
            return Arctan(config.gamma)
        case SigmoidForwardConfig():
            return SigmoidForward(config.k)
        case unknown:
            assert_never(unknown)

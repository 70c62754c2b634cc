"""Neurons: one step, and layers that run them over a sequence."""

from tet_core.config import (
    ArctanConfig,
    ExponentialConfig,
    IfConfig,
    LifConfig,
    NeuronConfig,
    RectangularConfig,
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
    if isinstance(config, LifConfig):
        return LIF(
            config.tau,
            config.v_threshold,
            build_surrogate(surrogate),
            reset=config.reset,
            detach_reset=config.detach_reset,
            learnable_tau=config.learnable_tau,
            learnable_threshold=config.learnable_threshold,
        )
    if isinstance(config, IfConfig):
        return IF(
            config.v_threshold,
            build_surrogate(surrogate),
            reset=config.reset,
            detach_reset=config.detach_reset,
            learnable_threshold=config.learnable_threshold,
        )
    return ReLU()


def build_surrogate(config: SurrogateConfig) -> Surrogate:
    """Return the surrogate that a config names."""
    if isinstance(config, TriangleConfig):
        return Triangle(config.gamma)
    if isinstance(config, RectangularConfig):
        return Rectangular(config.gamma)
    if isinstance(config, ExponentialConfig):
        return Exponential(config.gamma)
    return Arctan(config.gamma) if isinstance(config, ArctanConfig) else SigmoidForward(config.k)

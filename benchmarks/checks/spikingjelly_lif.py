"""Our LIF neuron compared with SpikingJelly's, forward and backward, in float64.

    python -m benchmarks.checks.spikingjelly_lif

SpikingJelly's neuron is `LIFNode(tau=2., decay_input=False, v_reset=0., detach_reset=False)` with the surrogate
`PiecewiseQuadratic(alpha=1.)`. Its time constant of 2 is our decay factor of 0.5, and its surrogate is the triangle of
Eq. 5 with gamma = 1. SpikingJelly's neuron fires at the threshold and above, ours only above the threshold. The random
inputs give no potential exactly at the threshold; for such a potential the spikes would differ.
"""

import sys

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor

from benchmarks.results_file import write
from tet_core.neuron import LIF

NUM_INPUTS = 1_000
TOLERANCE = 1e-12
MAX_T, MAX_B, MAX_FEATURES = 16, 4, 32


def drawn(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a random input and a random gradient of its spikes, both `[T, B, features]`, of random shape and scale."""
    sizes = (int(torch.randint(1, most + 1, (), generator=generator)) for most in (MAX_T, MAX_B, MAX_FEATURES))
    shape = tuple(sizes)
    scale, shift = (torch.rand((), generator=generator, dtype=torch.float64) * 2 for _ in range(2))
    current = torch.randn(shape, generator=generator, dtype=torch.float64) * scale + shift
    return current, torch.randn(shape, generator=generator, dtype=torch.float64)


def run(layer: torch.nn.Module, current: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the spikes, and the gradient of the input."""
    x = current.clone().requires_grad_()
    spikes = layer(x)
    torch.autograd.backward(spikes, gradient)
    assert x.grad is not None
    return spikes.detach(), x.grad


def main() -> int:
    """Compare both neurons on random inputs; return the exit status."""
    generator = torch.Generator().manual_seed(0)
    num_neuron_steps = spikes_differ = 0
    largest = 0.0
    firing = 0.0
    for _ in range(NUM_INPUTS):
        current, gradient = drawn(generator)
        theirs = neuron.LIFNode(
            tau=2.0,
            decay_input=False,
            v_reset=0.0,
            detach_reset=False,
            step_mode="m",
            surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0),
        )
        own_spikes, own_gradient = run(LIF(), current, gradient)
        their_spikes, their_gradient = run(theirs, current, gradient)
        num_neuron_steps += current.numel()
        spikes_differ += int((own_spikes != their_spikes).sum())
        firing += float(own_spikes.sum())
        largest = max(largest, float((own_gradient - their_gradient).abs().max()))
    result = {
        "inputs": NUM_INPUTS,
        "neuron_steps": num_neuron_steps,
        "firing_rate": firing / num_neuron_steps,
        "spikes_that_differ": spikes_differ,
        "largest_difference_of_gradients": largest,
        "tolerance": TOLERANCE,
        "agree": spikes_differ == 0 and largest <= TOLERANCE,
    }
    file = write("spikingjelly_lif", ("torch", "spikingjelly"), result)
    print(*(f"{key}: {value}" for key, value in result.items()), f"written to {file.name}", sep="\n")
    return 0 if result["agree"] else 1


if __name__ == "__main__":
    sys.exit(main())

"""Static inputs, which are the same at every time step: a view that repeats one step, and layers that compute it once.

A spiking network gets a still image T times. As a view with stride 0 over time the copies need the memory of one step,
and the layers before the first neuron, which have no state, compute only one step.

Shapes: T time steps (axis 0), B batch, * any more axes.
"""

from collections.abc import Callable

from torch import Tensor


def repeat_over_time(x: Tensor, T: int) -> Tensor:
    """Return `[B, *]` as a view `[T, B, *]`, without copying (stride 0 over time)."""
    return x.unsqueeze(0).expand(T, *x.shape)


def is_static(x: Tensor) -> bool:
    """Return whether all steps of `[T, B, *]` share the same memory."""
    return x.shape[0] > 1 and x.stride(0) == 0


def each_step(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a stateless layer to every step; if the input is static, to one step only.

    Args:
        layer: A function of `[N, *]`.
        x: `[T, B, *]`.

    Returns:
        The outputs `[T, B, *]`; for a static input a view that repeats one step.
    """
    if is_static(x):
        return repeat_over_time(layer(x[0]), x.shape[0])
    y = layer(x.flatten(0, 1))
    return y.view(*x.shape[:2], *y.shape[1:])

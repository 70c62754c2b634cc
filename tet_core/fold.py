"""Folding batch normalisation into the convolution before it, for inference (Eq. 6)."""

import copy

import torch
from torch import Tensor, nn

from tet_core.norm import TEBN, TdBN, scale_steps


class StepScale(nn.Module):
    """The part of a folded TEBN that cannot be folded: the scale of each time step.

    Args:
        scale: `[T]`; steps after T use the last one.
    """

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach().clone())

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Scale each step of `[T, B, C, H, W]`."""
        return scale_steps(x_TBCHW, self.scale)


def fold_batchnorm(model: nn.Module) -> nn.Module:
    """Return a copy of a network for inference, each norm folded into its convolution (Eq. 6).

        W' = W * weight / sqrt(running_var + eps)
        b' = bias + (b - running_mean) * weight / sqrt(running_var + eps)

    The copy is exact in real arithmetic. In float64 every spike agrees. In float32 a few in 100,000 potentials are so
    near to the threshold that rounding moves them across it. Each of these spikes can change others in later layers.

    Args:
        model: A network of `tet_core.models`, or any network in which each convolution and its norm are the attributes
            `conv` and `norm` of one module. It is not changed.

    Returns:
        The same network in evaluation mode, without norms (but with the scale of each step of a TEBN).

    Raises:
        ValueError: If a norm follows no convolution; the message names all such norms.

    Source: Deng et al., ICLR 2022, Eq. 6.
    """
    folded = copy.deepcopy(model).eval()
    for module in list(folded.modules()):
        conv, norm = getattr(module, "conv", None), getattr(module, "norm", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, TdBN):
            module.conv = _folded(conv, norm)
            module.norm = StepScale(norm.scale) if isinstance(norm, TEBN) else nn.Identity()
    left = [name for name, module in folded.named_modules() if isinstance(module, TdBN | nn.BatchNorm2d)]
    if left:
        raise ValueError(f"these norms follow no convolution that they could be folded into: {', '.join(left)}")
    return folded


@torch.no_grad()
def _folded(conv: nn.Conv2d, norm: TdBN) -> nn.Conv2d:
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = conv.bias if conv.bias is not None else torch.zeros_like(norm.running_mean)
    conv.weight.mul_(factor.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter(norm.bias + (bias - norm.running_mean) * factor)
    return conv

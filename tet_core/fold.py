"""Folding batch normalisation into the convolution before it, for inference (Eq. 6)."""

import copy

import torch
from torch import Tensor, nn

from tet_core.norm import TEBN, TdBN, scale_steps


class StepScale(nn.Module):
    """What is left of a folded TEBN: the scale of each time step.

    Args:
        scale: `[T]`; beyond T the last one holds.
    """

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach().clone())

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Scale each step of `[T, B, C, H, W]`."""
        return scale_steps(x_TBCHW, self.scale)


def fold_batchnorm(model: nn.Module) -> nn.Module:
    """A copy of a network for inference, each norm folded into its convolution (Eq. 6).

        W' = W * weight / sqrt(running_var + eps)
        b' = bias + (b - running_mean) * weight / sqrt(running_var + eps)

    Exact in real arithmetic. In float64 every spike agrees; in float32 a few in 100,000 potentials lie so near to the
    threshold that they fall on its other side, and what they change spreads through the layers behind.

    Args:
        model: Any network of `tet_core.models`, or another one whose convolutions and norms stand together as the
            attributes `conv` and `norm` of a module. It is left as it is.

    Returns:
        A network of the same shape in evaluation mode, without norms (of a TEBN the scales by step are left).

    Raises:
        ValueError: If a norm is left over that stands behind no convolution.

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
        raise ValueError(f"these norms stand behind no convolution that they could be folded into: {', '.join(left)}")
    return folded


@torch.no_grad()
def _folded(conv: nn.Conv2d, norm: TdBN) -> nn.Conv2d:
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = conv.bias if conv.bias is not None else torch.zeros_like(norm.running_mean)
    conv.weight.mul_(factor.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter(norm.bias + (bias - norm.running_mean) * factor)
    return conv

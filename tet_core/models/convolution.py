"""The convolution of all models: torch's, except in a case in which torch writes beyond a tensor's memory."""

import torch
from torch import Tensor, nn
from torch.nn import functional

# The key, in an environment's record, of how convolutions at risk are computed; torch's kernel, version 1, has none.
CONVOLUTION = "convolution_1x1"
VERSION = 2
# How many float32 numbers a register of AVX2 holds.
_LANES = 8


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`; a 1x1 convolution of few channels is computed as a product of matrices on CPUs with AVX2.

    With channels last, and a number of channels that is no multiple of 8, the backward pass of oneDNN for AVX2
    (`jit_avx2_1x1_convolution_bwd_weights`, torch 2.13) writes beyond the gradient of the weight. Then the process
    crashes, or other numbers change. `forward` and `tet_core.memory` both call `_conv_forward`.
    """

    def _conv_forward(self, x_BCHW: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not (self.is_at_risk and x_BCHW.device.type == "cpu"):
            out: Tensor = super()._conv_forward(x_BCHW, weight, bias)
            return out
        down, right = self.stride
        x_BHWC = x_BCHW[:, :, ::down, ::right].permute(0, 2, 3, 1)
        return functional.linear(x_BHWC, weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)

    @property
    def is_at_risk(self) -> bool:
        """Whether torch's kernel for this machine's CPU would write beyond its memory."""
        return (
            self.kernel_size == (1, 1)
            and (self.in_channels % _LANES != 0 or self.out_channels % _LANES != 0)
            and torch.backends.cpu.get_cpu_capability() == "AVX2"
        )


def convolution_record(model: nn.Module, device: torch.device) -> dict[str, int]:
    """Return the entry of an environment's record for a network with convolutions at risk; empty for other networks.

    So a stage that torch's kernel has begun does not continue with the product of matrices, which gives other bits.
    """
    at_risk = device.type == "cpu" and any(isinstance(each, Conv2d) and each.is_at_risk for each in model.modules())
    return {CONVOLUTION: VERSION} if at_risk else {}

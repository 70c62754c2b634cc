"""Batch normalisation over time and batch together, with the threshold-dependent initial weight (tdBN).

Shapes: T time steps, B batch, C channels, H and W pixels.

Source: Zheng et al., "Going Deeper With Directly-Trained Larger Spiking Neural Networks", AAAI 2021
(arXiv:2011.05280); Deng et al., ICLR 2022.
"""

from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from tet_core.config import Bn, NormConfig, Tdbn, Tebn
from tet_core.distributed import ALONE, Workers
from tet_core.norm.across_workers import batch_norm_of_all
from tet_core.static import is_static, repeat_over_time


class TdBN(nn.Module):
    """BatchNorm2d whose statistics run over [T, B, H, W]: `y = weight * (x - mean) / sqrt(var + eps) + bias`.

    The weight starts at `alpha * v_threshold`, the bias at 0. Normalisation uses the biased variance, the running
    variance is the unbiased one, as in `torch.nn.BatchNorm2d`.

    A static input, which repeats one step T times, is normalised once and repeated. The running variance is corrected
    for the T-fold count, so that the result is that of T copies.

    A batch with one value for each channel (T = 1, one sample, one pixel) has no unbiased variance, and its biased
    variance is 0. Its output is the bias, its input gets a gradient of 0, and the running statistics stay as they are.
    Values are counted over all steps and, if norms are synchronised, over all workers.

    Args:
        num_channels: C.
        v_threshold: Threshold of the neurons that follow.
        alpha: Factor on the threshold; 1 if one path leads into the neuron.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
    """

    running_mean: Tensor
    running_var: Tensor
    # In training the statistics run over the batch shares of these workers; see `synchronise`.
    workers: Workers = ALONE

    def __init__(
        self,
        num_channels: int,
        *,
        v_threshold: float = 1.0,
        alpha: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.full((num_channels,), alpha * v_threshold))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Normalise `[T, B, C, H, W]`; the output has the input's shape."""
        if is_static(x_TBCHW):
            return repeat_over_time(self._normalise(x_TBCHW[0], copies=x_TBCHW.shape[0]), x_TBCHW.shape[0])
        return self._normalise(x_TBCHW.flatten(0, 1), copies=1).view_as(x_TBCHW)

    def _normalise(self, x_BCHW: Tensor, copies: int) -> Tensor:
        if not self.training:
            return functional.batch_norm(
                x_BCHW, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if self.workers.are_many:
            y, mean, var, count = batch_norm_of_all(x_BCHW, self.weight, self.bias, self.eps, self.workers)
            self.track(mean, var, copies * count)
            return y
        if not x_BCHW.numel():  # a worker without a share of the batch
            return (x_BCHW * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)).to(x_BCHW.dtype)
        n = x_BCHW.numel() // x_BCHW.shape[1]
        if n == 1:
            return self._normalise_one_value(x_BCHW, copies)
        # With momentum 1 these receive the batch's own mean and unbiased variance.
        mean, var = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = functional.batch_norm(x_BCHW, mean, var, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
        self.track(mean, var * ((n - 1) / n), copies * n)
        return y

    def _normalise_one_value(self, x_BCHW: Tensor, copies: int) -> Tensor:
        """Normalise a batch with one value for each channel, which `batch_norm` refuses."""
        x = x_BCHW.to(self.weight.dtype)
        self.track(x.detach().flatten(), torch.zeros_like(self.running_var), copies)
        # Exactly 0, and still connected to x: a parameter before this norm must get a gradient on every worker.
        centred = x - x.mean((0, 2, 3), keepdim=True)
        y: Tensor = centred * (self.weight * self.eps**-0.5).view(-1, 1, 1) + self.bias.view(-1, 1, 1)
        return y.to(x_BCHW.dtype)

    @torch.no_grad()
    def preview(self, x_TBCHW: Tensor) -> Tensor:
        """Normalise a few samples, in training by their own statistics, and leave the running statistics unchanged."""
        if not self.training:
            return self(x_TBCHW)  # type: ignore[no-any-return]
        if not x_TBCHW.numel():  # a worker without a share of the batch: an empty tensor has no mean
            return x_TBCHW.clone()
        # Not by `batch_norm`: torch refuses a single value of a channel, and a worker's share may have only one.
        var, mean = torch.var_mean(x_TBCHW, dim=(0, 1, 3, 4), correction=0)
        scale = self.weight * (var + self.eps).rsqrt()
        return torch.addcmul((self.bias - mean * scale).view(-1, 1, 1), x_TBCHW, scale.view(-1, 1, 1))

    @torch.no_grad()
    def track(self, mean: Tensor, var: Tensor, count: int | Tensor) -> None:
        """Update the running statistics with those of a batch.

        Args:
            mean: Mean of each channel, `[C]`.
            var: Biased variance of each channel, `[C]`.
            count: Number of values of each channel, over all steps; below 2 nothing is updated, because there is no
                unbiased variance.
        """
        if isinstance(count, int):
            if count > 1:
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * (count / (count - 1)), self.momentum)
            return
        # The count is on the device, and the CPU must not wait for it: choose there.
        for running, newest in ((self.running_mean, mean), (self.running_var, var * (count / (count - 1)))):
            running.copy_(torch.where(count > 1, running.lerp(newest, self.momentum), running))

    def extra_repr(self) -> str:
        """Return the sizes, for `print(model)`."""
        return f"{self.weight.numel()}, eps={self.eps}, momentum={self.momentum}"


class TEBN(TdBN):
    """tdBN, then a learnt scale for each time step: `y(t) = scale[t] * tdBN(x)(t)`; the scales start at 1.

    Steps after the trained ones use the last scale. If a checkpoint has more scales, its first ones are loaded; if it
    has fewer, its last scale is repeated.

    Args:
        num_channels: C.
        num_steps: T, how many scales are learnt.
        v_threshold: As for `TdBN`.
        alpha: As for `TdBN`.

    Source: Duan et al., "Temporal Effective Batch Normalization in Spiking Neural Networks", NeurIPS 2022.
    """

    def __init__(self, num_channels: int, num_steps: int, *, v_threshold: float = 1.0, alpha: float = 1.0) -> None:
        super().__init__(num_channels, v_threshold=v_threshold, alpha=alpha)
        self.scale = nn.Parameter(torch.ones(num_steps))

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Normalise and scale `[T, B, C, H, W]`; the output has the input's shape."""
        return scale_steps(super().forward(x_TBCHW), self.scale)

    @torch.no_grad()
    def preview(self, x_TBCHW: Tensor) -> Tensor:
        """Normalise a few samples as a `TdBN` does, and scale them."""
        previewed = super().preview(x_TBCHW)
        return scale_steps(previewed, self.scale) if self.training else previewed

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        saved = state_dict.get(prefix + "scale")
        if isinstance(saved, Tensor) and saved.ndim == 1 and len(saved):
            state_dict[prefix + "scale"] = at_steps(saved, len(self.scale))
        super()._load_from_state_dict(state_dict, prefix, *others)


def synchronise(model: nn.Module, workers: Workers) -> None:
    """Let the norms of a network compute their statistics, in training, over all workers' shares of a batch."""
    for module in model.modules():
        if isinstance(module, TdBN):
            module.workers = workers


def average_statistics(model: nn.Module, workers: Workers) -> None:
    """Replace running statistics that differ between the workers by their mean over the workers."""
    if not workers.are_many:
        return
    synchronised = [module for module in model.modules() if isinstance(module, TdBN) and module.workers is not ALONE]
    excluded = {id(each) for module in synchronised for each in module.buffers(recurse=False)}
    buffers = [each for each in model.buffers() if each.is_floating_point() and id(each) not in excluded]
    if buffers:
        mean = workers.summed(torch.cat([each.double().flatten() for each in buffers])) / workers.num
        parts = torch.split(mean, [each.numel() for each in buffers])
        for each, part in zip(buffers, parts, strict=True):
            each.copy_(part.view(each.shape))


def at_steps(scale: Tensor, num_steps: int) -> Tensor:
    """Return scales for `num_steps` steps: the first ones of `[T]` or, if these are too few, the last one repeated."""
    return scale[torch.arange(num_steps, device=scale.device).clamp_max(len(scale) - 1)]


def scale_steps(x_TBCHW: Tensor, scale: Tensor) -> Tensor:
    """Multiply each step of `[T, B, C, H, W]` by its scale of `[T']`; steps after T' use the last scale."""
    return x_TBCHW * at_steps(scale, x_TBCHW.shape[0]).view(-1, 1, 1, 1, 1)


def build_norm(config: NormConfig, num_channels: int, *, v_threshold: float, num_steps: int) -> TdBN:
    """Return the norm that a config names.

    Args:
        config: The norm's settings.
        num_channels: C.
        v_threshold: Threshold of the neurons that follow.
        num_steps: T, for a norm that learns a scale of each step.
    """
    match config:
        case Tebn():
            return TEBN(num_channels, num_steps, v_threshold=v_threshold, alpha=config.alpha)
        case Tdbn():
            return TdBN(num_channels, v_threshold=v_threshold, alpha=config.alpha)
        case Bn():
            return TdBN(num_channels)  # weight 1
        case unknown:
            assert_never(unknown)

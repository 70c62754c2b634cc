"""Neurons as layers over a whole sequence, without state between calls.

Shapes: T time steps (always axis 0), B batch, * any more axes. `[T, B, *]` in, `[T, B, *]` out.
"""

import math

import torch
from torch import Tensor, nn

from tet_core import kernels, memory
from tet_core.current import Current
from tet_core.errors import ConfigError
from tet_core.kernels.fused import can_fuse, fused_spikes
from tet_core.kernels.inputs import SURROGATES, Neurons
from tet_core.neuron.loop import SpikeLoop
from tet_core.neuron.step import Reset, lif_step
from tet_core.static import each_step
from tet_core.surrogate import SigmoidForward, Surrogate, Triangle


class Neuron(nn.Module):
    """The base class of every layer of neurons; hooks and analyses find the layers by this class."""


class LIF(Neuron):
    """A layer of leaky integrate-and-fire neurons (Eq. 1-3).

    Args:
        tau: Decay factor of the potential at each step, 0 to 1 (not a time constant).
        v_threshold: The neuron fires when its potential is strictly above this.
        surrogate: Replaces the derivative of the spike; the triangle with gamma = 1 by default.
        reset: "hard" to 0 (as in the paper), or "soft" by subtraction of the threshold.
        detach_reset: Whether the gradient stops at the spikes within the reset. In the paper it does not.
        learnable_tau: Train one decay factor for the layer, `tau = sigmoid(tau_logit)`.
        learnable_threshold: Train one threshold for the layer, `v_threshold = exp(log_threshold)`.

    Raises:
        ConfigError: If `tau` is outside 0 to 1 (if learnt, not strictly between 0 and 1), `v_threshold` is not above
            0, or `reset` is not known.

    Example:
        >>> import torch
        >>> LIF()(torch.tensor([[0.9], [0.9], [0.9]])).flatten()
        tensor([0., 1., 0.])
    """

    def __init__(
        self,
        tau: float = 0.5,
        v_threshold: float = 1.0,
        surrogate: Surrogate | None = None,
        *,
        reset: Reset = "hard",
        detach_reset: bool = False,
        learnable_tau: bool = False,
        learnable_threshold: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= tau <= 1:
            raise ConfigError(
                "tau", tau, "the decay factor must be from 0 to 1; a time constant tau is the factor 1 - 1/tau"
            )
        if learnable_tau and not 0 < tau < 1:
            raise ConfigError("tau", tau, "to be learnt, the decay factor must start strictly between 0 and 1")
        if not v_threshold > 0:
            raise ConfigError("v_threshold", v_threshold, "it must be above 0")
        if reset not in ("hard", "soft"):
            raise ConfigError("reset", reset, "it must be 'hard' or 'soft'")
        self._tau, self._v_threshold = tau, v_threshold
        self.surrogate: Surrogate = surrogate or Triangle()
        self.reset, self.detach_reset = reset, detach_reset
        self.tau_logit = nn.Parameter(torch.tensor(math.log(tau / (1 - tau)))) if learnable_tau else None
        self.log_threshold = nn.Parameter(torch.tensor(math.log(v_threshold))) if learnable_threshold else None

    @property
    def tau(self) -> float | Tensor:
        """The decay factor: a number, or a scalar tensor if it is learnt."""
        return self._tau if self.tau_logit is None else self.tau_logit.sigmoid()

    @property
    def v_threshold(self) -> float | Tensor:
        """The threshold: a number, or a scalar tensor if it is learnt."""
        return self._v_threshold if self.log_threshold is None else self.log_threshold.exp()

    def forward(self, current: Tensor | Current) -> Tensor:
        """Run the neurons from a potential of 0.

        Args:
            current: Pre-synaptic input `[T, B, *]`, floating point, as a tensor or as its summands.

        Returns:
            Spikes, 0 or 1 (between them with `SigmoidForward`), of the shape and dtype of the current.

        Raises:
            ValueError: If there is no time axis or T is 0.
        """
        if isinstance(current, Tensor):
            if current.ndim < 1 or current.shape[0] == 0:
                raise ValueError(f"current has shape {tuple(current.shape)}; it must be [T, B, *] with T from 1 up")
            current = Current.of(current)
        spikes = self._spikes(current)
        if not isinstance(self.surrogate, SigmoidForward):
            memory.note_spikes(spikes)
        return spikes

    def _spikes(self, current: Current) -> Tensor:
        learnt = self.tau_logit is not None or self.log_threshold is not None
        if not learnt and can_fuse(current, self.surrogate):
            neurons = Neurons(self._tau, self._v_threshold, self.surrogate, self.reset, self.detach_reset)
            return fused_spikes(current, neurons)
        self._warn_of_loop(current.terms[0].x, learnt)
        if learnt or isinstance(self.surrogate, SigmoidForward):
            return self._by_steps(current.tensor())
        out: Tensor = SpikeLoop.apply(  # type: ignore[no-untyped-call]
            current.tensor(), self._tau, self._v_threshold, self.surrogate, self.reset, self.detach_reset
        )
        return out

    def _warn_of_loop(self, x: Tensor, learnt: bool) -> None:
        reason = "its decay factor or threshold is learnt" if learnt else f"there is no kernel for {x.dtype}"
        if not learnt and type(self.surrogate) not in SURROGATES:
            reason = f"there is no kernel for the surrogate {type(self.surrogate).__name__}"
        if x.device.type in kernels.DEVICES:
            kernels.warn_of_loop(x.device.type, reason)

    def _by_steps(self, current: Tensor) -> Tensor:
        tau, v_threshold = self.tau, self.v_threshold
        v, spikes = torch.zeros_like(current[0]), []
        for step in current:
            a, v = lif_step(
                v,
                step,
                tau=tau,
                v_threshold=v_threshold,
                surrogate=self.surrogate,
                reset=self.reset,
                detach_reset=self.detach_reset,
            )
            spikes.append(a)
        return torch.stack(spikes)

    def extra_repr(self) -> str:
        """Return the constants, for `print(model)`."""
        with torch.no_grad():
            tau, v_threshold = float(self.tau), float(self.v_threshold)
        words = [f"tau={tau:g}", f"v_threshold={v_threshold:g}", f"surrogate={self.surrogate}"]
        words += [f"reset={self.reset!r}"] if self.reset != "hard" else []
        words += ["detach_reset=True"] if self.detach_reset else []
        words += ["learnable_tau=True"] if self.tau_logit is not None else []
        words += ["learnable_threshold=True"] if self.log_threshold is not None else []
        return ", ".join(words)


class IF(LIF):
    """A layer of integrate-and-fire neurons: LIF neurons without leak (tau = 1).

    Args:
        v_threshold: As for `LIF`.
        surrogate: As for `LIF`.
        reset: As for `LIF`.
        detach_reset: As for `LIF`.
        learnable_threshold: As for `LIF`.

    Raises:
        ConfigError: As for `LIF`.
    """

    def __init__(
        self,
        v_threshold: float = 1.0,
        surrogate: Surrogate | None = None,
        *,
        reset: Reset = "hard",
        detach_reset: bool = False,
        learnable_threshold: bool = False,
    ) -> None:
        super().__init__(
            1.0, v_threshold, surrogate, reset=reset, detach_reset=detach_reset, learnable_threshold=learnable_threshold
        )


class ReLU(Neuron):
    """max(0, I) in place of a neuron, without state or spikes: it turns any model here into its ANN."""

    def forward(self, current: Tensor | Current) -> Tensor:
        """Return max(0, I), `[T, B, *]`; a static input is computed once."""
        return each_step(torch.relu, current if isinstance(current, Tensor) else current.tensor())

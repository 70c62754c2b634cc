"""A layer of neurons with the norms of its inputs, run by a kernel as one operation."""

from torch import Tensor, nn

from tet_core.current import Current, Term
from tet_core.distributed import merged_moments
from tet_core.kernels import kernels_for
from tet_core.kernels.inputs import SURROGATES, Moments, Neurons
from tet_core.kernels.lif import FusedLIF, moments
from tet_core.norm import TdBN
from tet_core.surrogate import Surrogate


def can_fuse(current: Current, surrogate: Surrogate) -> bool:
    """Return whether this process uses kernels that can run a current with a surrogate."""
    return type(surrogate) in SURROGATES and kernels_for(current.terms[0].x) is not None


def fused_spikes(current: Current, neurons: Neurons) -> Tensor:
    """Return spikes `[T, B, *]`; normalise the summands that no kernel can normalise first.

    Args:
        current: The summands of the neurons' input.
        neurons: The constants of the neurons.
    """
    terms = [term if term.is_fusible else Term(_normed(term, current.steps)) for term in current.terms]
    norms = [None if term.norm is None else (_moments(term, current.steps), term.norm.eps) for term in terms]
    tensors = [tensor for term in terms for tensor in (term.x, *_parameters(term.norm))]
    recompute = [term.recompute for term in terms]
    out: Tensor = FusedLIF.apply(neurons, current.steps, norms, recompute, *tensors)  # type: ignore[no-untyped-call]
    return out


def _normed(term: Term, steps: int) -> Tensor:
    return Current((term,), steps).tensor()


def _moments(term: Term, steps: int) -> Moments:
    """Return the moments that a norm uses: in training those of the batch, which update the running statistics too."""
    norm, x = term.norm, term.x
    assert isinstance(norm, TdBN)
    if not norm.training:
        return Moments(norm.running_mean, norm.running_var)
    own = moments(x.detach())
    copies, count = steps // x.shape[0], x.numel() // x.shape[2]
    if not norm.workers.are_many:
        norm.track(own.mean, own.var, count * copies)
        return own
    mean, var, total = merged_moments(norm.workers, own.mean, own.var, count)
    norm.track(mean, var, total * copies)
    return Moments(mean, var, norm.workers, count / total)


def _parameters(norm: nn.Module | None) -> tuple[Tensor | None, Tensor | None]:
    return (norm.weight, norm.bias) if isinstance(norm, TdBN) else (None, None)

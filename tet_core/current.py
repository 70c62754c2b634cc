"""The input of a layer of neurons: a sum that is not computed yet.

One pass over memory can then normalise the summands, add them and fire.

Shapes: T time steps, B batch, C channels, * any more axes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tet_core.norm import TdBN
from tet_core.static import is_static


@dataclass(frozen=True)
class Term:
    """One summand of a current.

    Attributes:
        x: `[T, B, *]`, or `[1, B, *]` if every step is the same.
        norm: The norm applied to x before the sum; None: no norm.
        recompute: Function that computes x again, to the same bits, so that x need not be kept; None: x must be kept.
    """

    x: Tensor
    norm: nn.Module | None = None
    recompute: Callable[[], Tensor] | None = None

    @property
    def is_fusible(self) -> bool:
        """Whether a kernel can normalise and add x."""
        # In evaluation mode the kernels have no gradient of a norm.
        norm = self.norm
        return norm is None or (type(norm) is TdBN and (norm.training or not self.x.requires_grad))


@dataclass(frozen=True)
class Current:
    """The current I of a layer of neurons: a sum over T steps.

    Attributes:
        terms: The summands, at least one.
        steps: T.
    """

    terms: tuple[Term, ...]
    steps: int

    @classmethod
    def of(cls, x: Tensor, norm: nn.Module | None = None) -> "Current":
        """Return the current of one input `[T, B, *]`."""
        return cls((Term(x[:1] if is_static(x) else x, norm),), x.shape[0])

    def __add__(self, other: "Current") -> "Current":
        assert self.steps == other.steps
        return Current((*self.terms, *other.terms), self.steps)

    @property
    def can_be_previewed(self) -> bool:
        """Whether `first` changes no state: a norm of another package may update its statistics at every call."""
        norms = [term.norm for term in self.terms if term.norm is not None]
        return all(isinstance(norm, TdBN) or not norm.training for norm in norms)

    @torch.no_grad()
    def first(self, num_samples: int) -> Tensor:
        """Return the sum for the first `num_samples` of the batch, `[T, num_samples, *]`; see `TdBN.preview`."""
        first, *others = (self._preview(Term(term.x[:, :num_samples], term.norm)) for term in self.terms)
        return sum(others, start=first)

    def _preview(self, term: Term) -> Tensor:
        x = term.x.expand(self.steps, *term.x.shape[1:])
        if isinstance(term.norm, TdBN):
            return term.norm.preview(x)
        return x if term.norm is None else term.norm(x)

    def tensor(self) -> Tensor:
        """Return the sum, `[T, B, *]`."""
        first, *others = (self._summand(term) for term in self.terms)
        for other in others:
            first = first + other
        return first

    def _summand(self, term: Term) -> Tensor:
        x = term.x.expand(self.steps, *term.x.shape[1:])
        return x if term.norm is None else term.norm(x)

"""What a layer of neurons is fed with, not yet summed up: normalising, adding and firing are then one pass over memory.

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
    """One of the inputs that are summed.

    Attributes:
        x: `[T, B, *]`, or `[1, B, *]` where every step is the same.
        norm: What x goes through first; None: nothing.
        again: Computes x once more, bit by bit, so that it need not be kept; None: it has to be.
    """

    x: Tensor
    norm: nn.Module | None = None
    again: Callable[[], Tensor] | None = None

    @property
    def is_fusible(self) -> bool:
        """Whether a kernel can do what is left to do to x."""
        # In evaluation mode the kernels know no gradient of a norm.
        norm = self.norm
        return norm is None or (type(norm) is TdBN and (norm.training or not self.x.requires_grad))


@dataclass(frozen=True)
class Current:
    """The current I of a layer of neurons: a sum over T steps.

    Attributes:
        terms: What is summed, at least one.
        steps: T.
    """

    terms: tuple[Term, ...]
    steps: int

    @classmethod
    def of(cls, x: Tensor, norm: nn.Module | None = None) -> "Current":
        """The current of one input `[T, B, *]`."""
        return cls((Term(x[:1] if is_static(x) else x, norm),), x.shape[0])

    def __add__(self, other: "Current") -> "Current":
        assert self.steps == other.steps
        return Current((*self.terms, *other.terms), self.steps)

    @property
    def can_be_looked_at(self) -> bool:
        """Whether `first` leaves everything as it was: a foreign norm may keep statistics of whatever it is given."""
        norms = [term.norm for term in self.terms if term.norm is not None]
        return all(isinstance(norm, TdBN) or not norm.training for norm in norms)

    @torch.no_grad()
    def first(self, num_samples: int) -> Tensor:
        """The sum for the first samples of the batch alone, `[T, B, *]`, to look at: see `TdBN.glance`."""
        first, *others = (self._glance(Term(term.x[:, :num_samples], term.norm)) for term in self.terms)
        return sum(others, start=first)

    def _glance(self, term: Term) -> Tensor:
        x = term.x.expand(self.steps, *term.x.shape[1:])
        if isinstance(term.norm, TdBN):
            return term.norm.glance(x)
        return x if term.norm is None else term.norm(x)

    def tensor(self) -> Tensor:
        """The sum itself, `[T, B, *]`."""
        first, *others = (self._summand(term) for term in self.terms)
        for other in others:
            first = first + other
        return first

    def _summand(self, term: Term) -> Tensor:
        x = term.x.expand(self.steps, *term.x.shape[1:])
        return x if term.norm is None else term.norm(x)

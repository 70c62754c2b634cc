"""The workers that train one stage together, as one of them sees them.

Each has a process of its own, the whole network, and a share of every batch. What is summed up over the workers is so
in an order that depends on their number alone: a stage that goes on from a checkpoint comes to the same bits as one
that was never stopped. Whoever calls makes the process group, over whatever network there is.

A worker that is alone computes as if this module was not there.

Shapes: C channels, W workers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from tet_core.errors import WorkersApartError as WorkersApartError
from tet_core.errors import WorkersDifferError as WorkersDifferError

# Gradients travel in pieces of about so many bytes, so that one is copied while another is on its way.
BUCKET_BYTES = 25 * 1024**2

T_ = TypeVar("T_")


@dataclass(frozen=True)
class Workers:
    """All workers of a stage.

    Attributes:
        group: What they talk over; None: this process is the only one.
        rank: Which of them this process is, from 0; the first one is who writes and reports.
        num: W.
    """

    group: dist.ProcessGroup | None = None
    rank: int = 0
    num: int = 1

    @classmethod
    def of(cls, group: dist.ProcessGroup | None) -> "Workers":
        """Those of a process group; None: this process alone."""
        return ALONE if group is None else cls(group, dist.get_rank(group), dist.get_world_size(group))

    @property
    def are_many(self) -> bool:
        """Whether there is anybody to talk to."""
        return self.num > 1

    def share(self, size: int) -> slice:
        """The part of a batch of this size that is this worker's; parts differ by one sample at most."""
        return slice(size * self.rank // self.num, size * (self.rank + 1) // self.num)

    def dealt(self, items: Sequence[T_]) -> Sequence[T_]:
        """Those of some items that are this worker's, dealt out one by one."""
        return items[self.rank :: self.num]

    def summed(self, x: Tensor) -> Tensor:
        """The sum over all workers of a dense tensor, in its place."""
        if self.are_many:
            self._talk(lambda: dist.all_reduce(x, group=self.group))
        return x

    def gathered(self, x: Tensor) -> Tensor:
        """What each worker has: `[*]` to `[W, *]`, in their order."""
        if not self.are_many:
            return x.unsqueeze(0)
        rows = [torch.empty_like(x) for _ in range(self.num)]
        self._talk(lambda: dist.all_gather(rows, x, group=self.group))
        return torch.stack(rows)

    def from_first(self, value: T_) -> T_:
        """What the first worker was given, to all of them."""
        if not self.are_many:
            return value
        box: list[Any] = [value if self.rank == 0 else None]
        self._talk(lambda: dist.broadcast_object_list(box, group=self.group, group_src=0))
        found: T_ = box[0]
        return found

    def check_alike(self, what: str, value: object) -> None:
        """Make sure that all workers have the same.

        Raises:
            WorkersDifferError: If not; it names the first that differs, and both values.
        """
        if not self.are_many:
            return
        found: list[Any] = [None] * self.num
        self._talk(lambda: dist.all_gather_object(found, value, group=self.group))
        for rank, other in enumerate(found):
            if other != found[0]:
                raise WorkersDifferError(
                    f"{what} of worker {rank} of {self.num} is {other!r}; that of worker 0 is {found[0]!r}, "
                    "and all must be alike"
                )

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the sum over all workers in the place of each gradient.

        The pieces that they travel in are always the same. With pieces that depend on what happened before (as DDP's,
        which orders them anew after its first step), those of a resumed stage would be summed up in another order.
        """
        if not self.are_many:
            return
        pieces = [
            (grads, torch.cat([grad.reshape(-1) for grad in grads]))
            for grads in _buckets([parameter.grad for parameter in parameters if parameter.grad is not None])
        ]
        works = self._talk(lambda: [dist.all_reduce(flat, group=self.group, async_op=True) for _, flat in pieces])
        for (grads, flat), work in zip(pieces, works, strict=True):
            assert work is not None
            self._talk(work.wait)
            parts = torch.split(flat, [grad.numel() for grad in grads])
            for grad, part in zip(grads, parts, strict=True):
                grad.copy_(part.view(grad.shape))

    def _talk(self, call: Callable[[], T_]) -> T_:
        try:
            return call()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise WorkersApartError(f"worker {self.rank} of {self.num} has lost the others: {told}") from error


ALONE = Workers()


def merged_moments(workers: Workers, mean: Tensor, var: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each channel over what all workers have.

    Args:
        workers: Who.
        mean: `[C]`, of what this worker has.
        var: `[C]`, the same.
        count: Of how many numbers a channel they are; 0: this worker has none, and `mean` and `var` are any numbers.

    Returns:
        Both, `[C]`, in the types they came in, and the number of numbers, a scalar in float64: nobody has to wait for
        a GPU to know it.
    """
    own = torch.cat([mean.double(), var.double(), mean.new_full((1,), count, dtype=torch.float64)])
    rows = workers.gathered(own)
    means, variances, counts = torch.split(rows, [len(mean), len(var), 1], dim=1)
    total = counts.sum()
    weights = counts / total
    merged = (weights * means).sum(0)
    spread = (weights * (variances + (means - merged).square())).sum(0)
    return merged.to(mean.dtype), spread.to(var.dtype), total


def _buckets(grads: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The gradients in their order, cut where the type changes or a piece is full."""
    bucket: list[Tensor] = []
    size = 0
    for grad in grads:
        if bucket and (size >= BUCKET_BYTES or grad.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(grad)
        size += grad.numel() * grad.element_size()
    if bucket:
        yield bucket

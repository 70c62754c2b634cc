"""The workers that train one stage together, seen from one of them.

Each worker is a process with the whole network and a share of every batch. Sums over the workers are added in an order
that depends only on their number, so a stage that is resumed gives the same bits as one that was never stopped. The
caller makes the process group.

A single worker computes as if this module did not exist.

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

# Size of the pieces in which gradients are sent: one is copied while another is on its way.
BUCKET_BYTES = 25 * 1024**2

T_ = TypeVar("T_")


@dataclass(frozen=True)
class Workers:
    """All workers of a stage.

    Attributes:
        group: Their process group; None: this process is the only worker.
        rank: Which of them this process is, from 0; worker 0 writes and reports.
        num: W, how many they are.
    """

    group: dist.ProcessGroup | None = None
    rank: int = 0
    num: int = 1

    @classmethod
    def of(cls, group: dist.ProcessGroup | None) -> "Workers":
        """Return the workers of a process group; None: this process alone."""
        return ALONE if group is None else cls(group, dist.get_rank(group), dist.get_world_size(group))

    @property
    def are_many(self) -> bool:
        """Whether there are other workers."""
        return self.num > 1

    def share(self, size: int) -> slice:
        """Return this worker's part of a batch of this size; the parts differ by at most one sample."""
        return slice(size * self.rank // self.num, size * (self.rank + 1) // self.num)

    def dealt(self, items: Sequence[T_]) -> Sequence[T_]:
        """Return this worker's items, dealt out one by one."""
        return items[self.rank :: self.num]

    def summed(self, x: Tensor) -> Tensor:
        """Replace a dense tensor by its sum over all workers, and return it."""
        if self.are_many:
            self._talk(lambda: dist.all_reduce(x, group=self.group))
        return x

    def gathered(self, x: Tensor) -> Tensor:
        """Return the tensors of all workers, in their order: `[*]` to `[W, *]`."""
        if not self.are_many:
            return x.unsqueeze(0)
        rows = [torch.empty_like(x) for _ in range(self.num)]
        self._talk(lambda: dist.all_gather(rows, x, group=self.group))
        return torch.stack(rows)

    def from_first(self, value: T_) -> T_:
        """Return the value that worker 0 was given, on all workers."""
        if not self.are_many:
            return value
        box: list[Any] = [value if self.rank == 0 else None]
        self._talk(lambda: dist.broadcast_object_list(box, group=self.group, group_src=0))
        found: T_ = box[0]
        return found

    def check_alike(self, what: str, value: object) -> None:
        """Check that all workers have the same value.

        Args:
            what: What the value is, for the message.
            value: This worker's value.

        Raises:
            WorkersDifferError: If they differ; it names the first worker that does, and both values.
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
        """Replace each gradient by its sum over all workers.

        The gradients are always cut into the same pieces. If the pieces depended on earlier steps (DDP orders them
        again after its first step), a resumed stage would add in another order, and give other bits.
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
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise WorkersApartError(f"worker {self.rank} of {self.num} has lost the others: {reason}") from error


ALONE = Workers()


def merged_moments(workers: Workers, mean: Tensor, var: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and biased variance of each channel over the numbers of all workers.

    Args:
        workers: The workers.
        mean: `[C]`, mean of this worker's numbers.
        var: `[C]`, biased variance of this worker's numbers.
        count: How many numbers a channel this worker has; if 0, `mean` and `var` are ignored.

    Returns:
        Both, `[C]`, in the types of `mean` and `var`, and how many numbers a channel all workers have: a float64 scalar
        on the device, so that the CPU need not wait for it.
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
    """Yield the gradients in their order, cut where the type changes or a piece is full."""
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

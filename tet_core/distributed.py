"""The workers that train one stage together, seen from one of them.

Each worker is a process with the whole network and a share of every batch. A sum over the workers adds their values in
an order that depends only on the number of workers. Therefore a resumed stage gives the same bits as one that was never
stopped. The caller creates the process group.

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

# Least size of a full bucket of gradients. One bucket is copied while the all-reduce of another one runs.
BUCKET_BYTES = 25 * 1024**2

T_ = TypeVar("T_")


@dataclass(frozen=True)
class Workers:
    """All workers of a stage.

    Attributes:
        group: The workers' process group; None: this process is the only worker.
        rank: The number of this worker, counted from 0. Only worker 0 writes files and reports results.
        num: W, the number of workers.
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
        """Return this worker's part of a batch of `size` samples; the parts differ by at most one sample."""
        return slice(size * self.rank // self.num, size * (self.rank + 1) // self.num)

    def dealt(self, items: Sequence[T_]) -> Sequence[T_]:
        """Return this worker's items: every W-th one, from the item whose index is the rank."""
        return items[self.rank :: self.num]

    def summed(self, x: Tensor) -> Tensor:
        """Replace a dense tensor by its sum over all workers (an all-reduce), and return the tensor."""
        if self.are_many:
            self._communicate(lambda: dist.all_reduce(x, group=self.group))
        return x

    def gathered(self, x: Tensor) -> Tensor:
        """Return the tensors of all workers in the order of their ranks: `[*]` to `[W, *]`."""
        if not self.are_many:
            return x.unsqueeze(0)
        rows = [torch.empty_like(x) for _ in range(self.num)]
        self._communicate(lambda: dist.all_gather(rows, x, group=self.group))
        return torch.stack(rows)

    def from_first(self, value: T_) -> T_:
        """Return worker 0's value, on every worker."""
        if not self.are_many:
            return value
        values: list[Any] = [value if self.rank == 0 else None]
        self._communicate(lambda: dist.broadcast_object_list(values, group=self.group, group_src=0))
        received: T_ = values[0]
        return received

    def check_alike(self, what: str, value: object) -> None:
        """Check that all workers have the same value.

        Args:
            what: The name of the value, for the message.
            value: This worker's value.

        Raises:
            WorkersDifferError: If the values differ. The message shows worker 0's value, the first value that differs,
                and the rank of its worker.
        """
        if not self.are_many:
            return
        values: list[Any] = [None] * self.num
        self._communicate(lambda: dist.all_gather_object(values, value, group=self.group))
        for rank, theirs in enumerate(values):
            if theirs != values[0]:
                raise WorkersDifferError(
                    f"{what} of worker {rank} of {self.num} is {theirs!r}; that of worker 0 is {values[0]!r}; "
                    "all workers must have the same value"
                )

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all workers.

        The gradients are always cut into the same buckets. If the buckets depended on earlier steps (DDP orders them
        again after its first step), a resumed stage would add in another order and give different bits.
        """
        if not self.are_many:
            return
        buckets = [
            (grads, torch.cat([grad.reshape(-1) for grad in grads]))
            for grads in _buckets([parameter.grad for parameter in parameters if parameter.grad is not None])
        ]
        works = self._communicate(
            lambda: [dist.all_reduce(flat, group=self.group, async_op=True) for _, flat in buckets]
        )
        for (grads, flat), work in zip(buckets, works, strict=True):
            assert work is not None
            self._communicate(work.wait)
            parts = torch.split(flat, [grad.numel() for grad in grads])
            for grad, part in zip(grads, parts, strict=True):
                grad.copy_(part.view(grad.shape))

    def _communicate(self, call: Callable[[], T_]) -> T_:
        try:
            return call()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise WorkersApartError(
                f"worker {self.rank} of {self.num} has lost contact with the other workers: {reason}"
            ) from error


ALONE = Workers()


def merged_moments(workers: Workers, mean: Tensor, var: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and biased variance of each channel over the values of all workers.

    Args:
        workers: The workers.
        mean: `[C]`, mean of this worker's values.
        var: `[C]`, biased variance of this worker's values.
        count: How many values this worker has for each channel; if 0, `mean` and `var` have weight 0
            (but they must still be finite).

    Returns:
        Mean and variance over all workers, `[C]`, with the dtypes of `mean` and `var`, and how many values all workers
        together have for each channel. This number stays on the device, as a float64 scalar, so that the CPU need not
        wait for the GPU.
    """
    local = torch.cat([mean.double(), var.double(), mean.new_full((1,), count, dtype=torch.float64)])
    rows = workers.gathered(local)
    means, variances, counts = torch.split(rows, [len(mean), len(var), 1], dim=1)
    total = counts.sum()
    weights = counts / total.clamp_min(1)  # without any value the mean is 0, not 0 / 0
    merged = (weights * means).sum(0)
    spread = (weights * (variances + (means - merged).square())).sum(0)
    return merged.to(mean.dtype), spread.to(var.dtype), total


def _buckets(grads: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the gradients in their order, in buckets; a new one starts when the dtype changes or a bucket is full."""
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

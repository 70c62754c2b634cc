"""Batches of a training set, whose order and augmentation depend only on the seed and the epoch.

Shapes: N samples, B batch, C channels, H and W pixels.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from tet_core import seed
from tet_core.config import AugmentationStep, AutoAugment, ResizedCrop
from tet_core.data import augment
from tet_core.data.dataset import Dataset, Samples
from tet_core.distributed import ALONE, Workers
from tet_core.errors import ConfigError

# Number of batches that are decoded ahead: enough to hide one slow read, and few enough to need little memory.
PREFETCH = 3
# The beginning of the names of the threads that decode images. A process keeps them from one training to the next.
DECODING_THREADS = "decode"


class Batch(NamedTuple):
    """Normalised images `[B, C, H, W]` (for events frames `[B, T, C, H, W]`) and labels `[B]`."""

    images: Tensor
    labels: Tensor


class TrainLoader:
    """The training set, batch by batch; the last batch of an epoch may be smaller.

    With several workers each worker gets its share of every batch; of a small batch, a share may be empty.

    Args:
        dataset: The data set.
        members: `[M]`, int64: indices of the training set's samples to train on.
        batch_size: B.
        steps: The augmentation.
        seed: The experiment's seed.
        device: The device of the images and the batches.
        dtype: The type of the normalised images.
        workers: The workers that share the batches.
    """

    def __init__(
        self,
        dataset: Dataset,
        members: Tensor,
        *,
        batch_size: int,
        steps: Sequence[AugmentationStep],
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        workers: Workers = ALONE,
    ) -> None:
        self.dataset, self.batch_size, self.steps, self.seed = dataset, batch_size, steps, seed
        self.device, self.dtype, self.workers = device, dtype, workers
        self.samples = dataset.train.to(device)
        self.is_member = torch.zeros(len(dataset.train), dtype=torch.bool)
        self.is_member[members] = True
        self.num_samples = len(members)

    def order(self, epoch: int) -> Tensor:
        """Return the order of the samples in an epoch of the chain: `[M]`, int64."""
        order = torch.randperm(len(self.samples), generator=seed.generator(self.seed, "order", epoch))
        return order[self.is_member[order]]

    @property
    def sizes(self) -> list[int]:
        """Sizes of the batches of an epoch, over all workers."""
        whole, rest = divmod(self.num_samples, self.batch_size)
        return [self.batch_size] * whole + [rest] * (rest > 0)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield this worker's shares of the batches of an epoch of the chain (from 1)."""
        tables = augment.draw(self.steps, len(self.samples), seed_=self.seed, epoch=epoch)
        tables = tuple(table.to(self.device) for table in tables)
        batches = torch.split(self.order(epoch).to(self.device), self.batch_size)
        shares = [batch[self.workers.share(len(batch))] for batch in batches]
        for indices, images in taken(self.samples, shares):
            _check_augmentable(self.steps, images.dtype)
            images = augment.apply(self.steps, tables, indices, images, self.dataset.input_size)
            yield Batch(self.dataset.normalise(images, self.dtype), self.samples.labels[indices])


def _check_augmentable(steps: Sequence[AugmentationStep], dtype: torch.dtype) -> None:
    """Check that the images have the units of the steps: some steps compute with whole numbers from 0 to 255.

    Raises:
        ConfigError: If such a step would get floating point or bool images, which it would round or clip.
    """
    if not dtype.is_floating_point and dtype is not torch.bool:
        return
    for step in steps:
        if isinstance(step, AutoAugment | ResizedCrop):
            raise ConfigError(
                "augmentation",
                step.name,
                f"it computes with whole numbers, and the images are {dtype}: leave it out, or give uint8 images from "
                "0 to 255, with mean and std in these units",
            )


def evaluation_batches(
    dataset: Dataset, samples: Samples, *, batch_size: int, dtype: torch.dtype, workers: Workers = ALONE
) -> Iterator[Batch]:
    """Yield the samples in their order, normalised, not augmented, and cropped to the centre if larger than the input.

    With several workers each worker gets whole batches, see `Workers.dealt`.
    """
    batches = torch.split(torch.arange(len(samples), device=samples.labels.device), batch_size)
    for indices, images in taken(samples, workers.dealt(batches)):
        images = augment.apply((), (), indices, images, dataset.input_size)
        yield Batch(dataset.normalise(images, dtype), samples.labels[indices])


def taken(samples: Samples, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield indices and samples of each batch of indices; samples that must be decoded are decoded ahead."""
    if not samples.streams:
        yield from ((indices, samples.take(indices)) for indices in batches)
        return
    yield from zip(batches, _ahead(samples.take, batches), strict=True)


def _ahead(take: Callable[[Tensor], Tensor], batches: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield results in order, each started `PREFETCH` batches before it is needed."""
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as reader:
        pending = deque(reader.submit(take, indices) for indices in batches[:PREFETCH])
        try:
            for place in range(len(batches)):
                images = pending.popleft().result()
                if place + PREFETCH < len(batches):
                    pending.append(reader.submit(take, batches[place + PREFETCH]))
                yield images
        finally:
            for future in pending:
                future.cancel()


def split_validation(labels: Tensor, fraction: float, seed_: int, part: float = 1.0) -> tuple[Tensor, Tensor]:
    """Split a training set at random, each class in the same proportions.

    Args:
        labels: `[N]`, int64.
        fraction: The share (0 to 1) of each class's used samples for validation, rounded to the nearest number.
        seed_: The experiment's seed.
        part: The share (0 to 1) of each class that is used, rounded to the nearest number.

    Returns:
        Indices to train on and indices to validate on, each in rising order.

    Raises:
        ConfigError: If a part would be empty.
    """
    generator = seed.generator(seed_, "validation")
    is_used, is_validation = torch.zeros(len(labels), dtype=torch.bool), torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        # A sample that is trained on with one part is never validated on with another part.
        num_used, first_trained = round(part * len(members)), round(fraction * len(members))
        num_validation = round(fraction * num_used)
        validation = shuffled[:num_validation]
        is_used[torch.cat([validation, shuffled[first_trained:][: num_used - num_validation]])] = True
        is_validation[validation] = True
    train, validation = (is_used & ~is_validation).nonzero().flatten(), is_validation.nonzero().flatten()
    if len(train) == 0 or (fraction > 0 and len(validation) == 0):
        with_part = f"with train_part {part}, " if part < 1 else ""
        raise ConfigError(
            "validation",
            fraction,
            f"{with_part}of {len(labels)} samples this leaves {len(train)} to train on and {len(validation)} to "
            "validate on; each must be at least one",
        )
    return train, validation

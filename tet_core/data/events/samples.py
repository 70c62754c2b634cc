"""Frames of recordings as the samples of a data set.

Shapes: N samples, B samples of a batch, T frames, S: the width and height of the network's input, in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Buffer

from tet_core.config import DatasetCard
from tet_core.data.dataset import Dataset, described
from tet_core.data.events.cache import FrameRequest, Frames, cached

# Counts are not normalised: in every network a norm follows the first layer.
MEAN, STD = (0.0, 0.0), (1.0, 1.0)


@dataclass(frozen=True)
class FrameSamples:
    """Samples whose frames are in a cache that is mapped into memory, or on a GPU.

    Attributes:
        frames: `[M, T, 2, S, S]`, int16: the whole cache, or on a GPU only the frames of these samples.
        rows: `[N]`, int64: the index of each sample in `frames`, on the same device.
        labels: `[N]`, int64, on the same device.
        sha256: `[N, 32]`, uint8: SHA-256 of each sample's frames.
    """

    frames: Tensor
    rows: Tensor
    labels: Tensor
    sha256: NDArray[np.uint8]
    streams = False  # reading from the mapped file needs no decoding

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: Tensor) -> Tensor:
        """Return the frames of the samples at `indices` `[B]`: `[B, T, 2, S, S]`, int16."""
        return self.frames[self.rows[indices]]

    def subset(self, indices: Tensor) -> "FrameSamples":
        """Return the samples at `indices` `[M]`, int64, in that order."""
        chosen = self.sha256[indices.cpu().numpy()]
        return FrameSamples(self.frames, self.rows[indices], self.labels[indices], chosen)

    def to(self, device: torch.device) -> "FrameSamples":
        """Return the same samples on a device; on a CPU the frames stay mapped."""
        if device.type == "cpu" and self.frames.device.type == "cpu":
            return self
        rows = torch.arange(len(self), device=device)
        return FrameSamples(self.frames[self.rows].to(device), rows, self.labels.to(device), self.sha256)

    def content(self) -> Iterator[Buffer]:
        """Yield shape, labels, and the checksum of every sample's frames."""
        yield repr((str(self.frames.dtype), len(self), tuple(self.frames.shape[1:]))).encode()
        yield self.labels.cpu().contiguous().numpy().data
        yield np.ascontiguousarray(self.sha256).data


def of_frames(
    card: DatasetCard,
    request: FrameRequest,
    root: Path,
    train_labels: Tensor,
    test_labels: Tensor,
    source: str,
    classes: Sequence[str] | None,
) -> Dataset:
    """Return the data set of cached frames; make the frames first if they are missing.

    Args:
        card: The data set's card; its numbers of samples need not match.
        request: The request for the frames; those of the training samples come first.
        root: The data root, for the cache.
        train_labels: `[N]`, int64.
        test_labels: `[M]`, int64.
        source: As for `Dataset`.
        classes: As for `Dataset`.

    Raises:
        DataError: As for `cached`, or from `request.make`.
    """
    train, test = parts(cached(request, root), train_labels, test_labels)
    return described(
        card,
        train,
        test,
        name=request.name,
        mean=MEAN,
        std=STD,
        source=source,
        T=request.T,
        classes=classes,
        whole=False,
    )


def parts(cache: Frames, train_labels: Tensor, test_labels: Tensor) -> tuple[FrameSamples, FrameSamples]:
    """Return training and test set of a cache that holds the training samples first."""
    frames, labels = torch.from_numpy(cache.frames), torch.cat([train_labels, test_labels])
    whole = FrameSamples(frames, torch.arange(len(labels)), labels, cache.sha256)
    both = torch.split(whole.rows, [len(train_labels), len(test_labels)])
    return whole.subset(both[0]), whole.subset(both[1])

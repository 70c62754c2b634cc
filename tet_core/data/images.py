"""Image files, decoded during training so that they need not fit into memory: ImageNet, and the user's folders.

Every image is decoded to a square canvas (`tet_core.data.decoding`). Random crops and all other augmentation are done
on the device for whole batches (`tet_core.data.augment`).

Source: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import Buffer

from tet_core.config import ImageFolder, ImageNet
from tet_core.data import decoding
from tet_core.data.bad_files import REFUSE, BadFileRule
from tet_core.data.dataset import DataError, Dataset, described
from tet_core.data.decoding import decode as decode
from tet_core.data.folders import Listing, Parts, list_parts
from tet_core.data.image_checks import peculiarities
from tet_core.data.loader import DECODING_THREADS
from tet_core.inventory.inspection import folder_of, missing_folders
from tet_core.inventory.published import IMAGENET_PARTS
from tet_core.inventory.reader import IMAGE_SUFFIXES, READER
from tet_core.inventory.scanning import readable

# Mean and standard deviation of pixels from 0 to 1: the usual ones of ImageNet, round numbers for one grey channel.
_MEAN, _STD = {3: (0.485, 0.456, 0.406), 1: (0.5,)}, {3: (0.229, 0.224, 0.225), 1: (0.25,)}
_MAX_THREADS = 16


@dataclass(frozen=True)
class ImageFiles:
    """Samples that are decoded when they are taken.

    Attributes:
        root: The folder that `names` are relative to.
        names: The paths of N files.
        labels: `[N]`, int64.
        side: Side of the canvas, in pixels.
        channels: 3 for colour, 1 for grey.
        depth: How many bits the pixels of a grey 16-bit file use.
        device: The device of the batches.
    """

    root: Path
    names: tuple[str, ...]
    labels: Tensor
    side: int
    channels: int
    depth: int = decoding.DEPTH
    device: torch.device = field(default=torch.device("cpu"))
    streams = True

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Tensor) -> Tensor:
        """Decode the images at `indices` `[B]`: `[B, C, side, side]`, uint8."""
        paths = [self.root / self.names[index] for index in indices.tolist()]
        if not paths:
            return torch.empty((0, self.channels, self.side, self.side), dtype=torch.uint8, device=self.device)
        decoded = _pool(num_threads()).map(lambda path: decode(path, self.side, self.channels, self.depth), paths)
        images = torch.stack(list(decoded))
        # From pinned memory the copy runs while the GPU computes.
        return images.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else images

    def subset(self, indices: Tensor) -> "ImageFiles":
        """Return the samples at `indices` `[M]`."""
        names = tuple(self.names[index] for index in indices.tolist())
        return replace(self, names=names, labels=self.labels[indices])

    def to(self, device: torch.device) -> "ImageFiles":
        """Return the same samples; their batches are on a device."""
        return replace(self, labels=self.labels.to(device), device=device)

    def content(self) -> Iterator[Buffer]:
        """Yield the reader's version, names, sizes and labels: reading the pixels would take as long as an epoch."""
        yield f"{self.side} {self.channels} {self.depth} reader {READER}".encode()
        for name, label in zip(self.names, self.labels.tolist(), strict=True):
            yield f"{name}\0{(self.root / name).stat().st_size}\0{label}\n".encode("utf-8", "surrogateescape")


def num_threads() -> int:
    """Return the number of decoding threads: `OMP_NUM_THREADS`, which Ray sets to a trial's CPUs, else all CPUs."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    number = int(asked) if asked.isdecimal() else len(os.sched_getaffinity(0))
    return min(max(number, 1), _MAX_THREADS)


@cache
def _pool(number: int) -> ThreadPoolExecutor:
    """Return a pool of `number` threads, kept for the process: Pillow lets threads decode in parallel."""
    return ThreadPoolExecutor(number, thread_name_prefix=DECODING_THREADS)


def load_imagenet(config: ImageNet, root: Path) -> Dataset:
    """Load ImageNet: folders `train` and `val` with one folder a class, named by WordNet id.

    As usual, the canvas is larger than the input: training crops at random, testing crops the middle.

    Raises:
        DataError: If the data set is missing, or the number of classes is wrong; the message names the folder.
    """
    return _loaded(config, root, side=canvas(config), names=IMAGENET_PARTS)


def load_folder(config: ImageFolder, root: Path) -> Dataset:
    """Load images from a user's folder.

    Raises:
        DataError: If the folder is missing or empty, or the number of classes is wrong; the message names the folder.
    """
    return _loaded(config, root, side=canvas(config))


def canvas(config: ImageNet | ImageFolder) -> int:
    """Return the side of the square that an image is decoded to, in pixels: for ImageNet 256/224 of the input's."""
    return round(config.input_size * 256 / 224) if isinstance(config, ImageNet) else config.input_size


def _loaded(config: ImageNet | ImageFolder, root: Path, *, side: int, names: tuple[str, str] | None = None) -> Dataset:
    if (missing := missing_folders(config, root)) is not None:
        raise DataError(missing)
    share, seed_ = (config.test, config.split_seed) if isinstance(config, ImageFolder) else (0.0, 0)
    folder, rule = folder_of(config, root), _rule(config, root, side)
    parts = list_parts(
        folder,
        IMAGE_SUFFIXES,
        num_classes=config.num_classes,
        share=share,
        seed_=seed_,
        names=names,
        rule=rule,
    )
    return _dataset(config, folder, parts, side=side)


def _depth(config: ImageNet | ImageFolder) -> int:
    return config.depth if isinstance(config, ImageFolder) else decoding.DEPTH


def _rule(config: ImageNet | ImageFolder, root: Path, side: int) -> BadFileRule:
    """Return what to do with files that cannot be decoded; the check decodes files as training does."""
    if config.bad_files == "refuse":
        return REFUSE
    channels, depth = config.card().in_channels, _depth(config)
    fault_of = partial(decoding.fault_of, side=side, channels=channels, depth=depth)
    depends_on = {"side": side, "channels": channels, "depth": depth, "reader": READER}
    run = _pool(num_threads()).map
    return BadFileRule(config.max_bad_share, fault_of, depends_on, root, run)


def _dataset(config: ImageNet | ImageFolder, folder: Path, parts: Parts, *, side: int) -> Dataset:
    card, depth = config.card(), _depth(config)
    train, test = (_files(folder, part, side, card.in_channels, depth) for part in (parts.train, parts.test))
    mean, std = statistics_of(card.in_channels)
    source = f"{folder}, {parts.split}{peculiarities(parts.train.files)}"
    # `whole=False`: a selection of ImageNet has other numbers of samples.
    return described(
        card,
        train,
        test,
        name=config.name,
        mean=mean,
        std=std,
        source=source,
        classes=[readable(name) for name in parts.train.classes],
        whole=False,
    )


def statistics_of(in_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, in grey levels (0 to 255)."""
    mean, std = (tuple(255 * value for value in values[in_channels]) for values in (_MEAN, _STD))
    return mean, std


def _files(folder: Path, listing: Listing, side: int, channels: int, depth: int) -> ImageFiles:
    names: Sequence[str] = [str(file.relative_to(folder)) for file in listing.files]
    return ImageFiles(folder, tuple(names), listing.labels, side, channels, depth)

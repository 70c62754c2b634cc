"""Image files, decoded during training so that they need not fit into memory: ImageNet, and the user's folders.

Every image is decoded to a square canvas: its shorter side is scaled to the canvas, and the middle is cut out. Random
crops and all other augmentation are done on the device for whole batches (`tet_core.data.augment`).

Source: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from typing_extensions import Buffer

from tet_core.config import ImageFolder, ImageNet
from tet_core.data.dataset import DataError, Dataset, described
from tet_core.data.folders import Listing, Parts, given_parts, list_parts

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp"))
# Mean and standard deviation of pixels from 0 to 1: the usual ones of ImageNet, round numbers for one grey channel.
_MEAN, _STD = {3: (0.485, 0.456, 0.406), 1: (0.5,)}, {3: (0.229, 0.224, 0.225), 1: (0.25,)}
_MAX_THREADS = 16

# An image of more than 89 million pixels is an attack or a mistake; Pillow would only warn.
warnings.simplefilter("error", Image.DecompressionBombWarning)


@dataclass(frozen=True)
class ImageFiles:
    """Samples that are decoded when they are taken.

    Attributes:
        root: The folder that `names` are relative to.
        names: The paths of N files.
        labels: `[N]`, int64.
        side: Side of the canvas, in pixels.
        channels: 3 for colour, 1 for grey.
        device: The device of the batches.
    """

    root: Path
    names: tuple[str, ...]
    labels: Tensor
    side: int
    channels: int
    device: torch.device = field(default=torch.device("cpu"))
    streams = True

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Tensor) -> Tensor:
        """Decode the images at `indices` `[B]`: `[B, C, side, side]`, uint8."""
        paths = [self.root / self.names[index] for index in indices.tolist()]
        if not paths:
            return torch.empty((0, self.channels, self.side, self.side), dtype=torch.uint8, device=self.device)
        decoded = _pool(num_threads()).map(lambda path: decode(path, self.side, self.channels), paths)
        images = torch.stack(list(decoded))
        # From pinned memory the copy runs while the GPU computes.
        return images.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else images

    def subset(self, indices: Tensor) -> "ImageFiles":
        """Return the samples at `indices` `[M]`."""
        names = tuple(self.names[index] for index in indices.tolist())
        return ImageFiles(self.root, names, self.labels[indices], self.side, self.channels, self.device)

    def to(self, device: torch.device) -> "ImageFiles":
        """Return the same samples; their batches are on a device."""
        return ImageFiles(self.root, self.names, self.labels.to(device), self.side, self.channels, device)

    def content(self) -> Iterator[Buffer]:
        """Yield names, sizes and labels: reading the pixels would take as long as an epoch."""
        yield f"{self.side} {self.channels}".encode()
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
    return ThreadPoolExecutor(number, thread_name_prefix="decode")


def decode(path: Path, side: int, channels: int) -> Tensor:
    """Read an image, scale its shorter side to `side` and cut the middle out.

    Args:
        path: The file, of any format that Pillow reads.
        side: Side of the result, in pixels.
        channels: 3 for colour, 1 for grey; transparency is dropped.

    Returns:
        `[C, side, side]`, uint8.

    Raises:
        DataError: If the file is missing, damaged, truncated, no image, or implausibly large; it names the file.
    """
    try:
        with Image.open(path) as image:
            image.draft("RGB" if channels == 3 else "L", (side, side))  # JPEG: decode no finer than needed
            scaled = _shorter_to(_of_mode(image, channels), side)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path}: damaged, truncated or no image ({error})") from error
    values = torch.from_numpy(np.array(scaled, dtype=np.uint8))
    return values.unsqueeze(0) if channels == 1 else values.permute(2, 0, 1).contiguous()


def _of_mode(image: Image.Image, channels: int) -> Image.Image:
    """Return an image in colour or grey; keep the upper eight of 16 bits, whereas Pillow would clip."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB" if channels == 3 else "L")


def _shorter_to(image: Image.Image, side: int) -> Image.Image:
    width, height = image.size
    scale = side / min(width, height)
    width, height = (max(side, round(length * scale)) for length in (width, height))
    left, top = (width - side) // 2, (height - side) // 2
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + side, top + side))


def load_imagenet(config: ImageNet, root: Path) -> Dataset:
    """Load ImageNet: folders `train` and `val` with one folder a class, named by WordNet id.

    As usual, the canvas is larger than the input by 256/224: training crops at random, testing crops the middle.

    Raises:
        DataError: If the data set is missing, or the number of classes is wrong; the message names the folder.
    """
    folder = root / config.folder
    missing = [part for part in ("train", "val") if not (folder / part).is_dir()]
    if missing:
        raise DataError(
            f"imagenet is not here: looked for the folders train and val in {folder}, and there is no "
            f"{' and no '.join(missing)}. Get ILSVRC2012 (148 GB) from https://image-net.org, which asks for a "
            f"registration, and unpack it to {folder}/train/<WordNet id>/*.JPEG and {folder}/val/<WordNet id>/*.JPEG "
            f"(set TET_DATA or the data root for another place)"
        )
    parts = given_parts(folder, SUFFIXES, num_classes=config.num_classes, names=("train", "val"))
    return _dataset(config, folder, parts, side=round(config.input_size * 256 / 224))


def load_folder(config: ImageFolder, root: Path) -> Dataset:
    """Load images from a user's folder.

    Raises:
        DataError: If the folder is missing or empty, or the number of classes is wrong; the message names the folder.
    """
    folder = root / config.folder
    if not folder.is_dir():
        raise DataError(
            f"image_folder is not here: looked for {folder}; put one folder for each class there, or train and "
            f"test with one folder for each class (set TET_DATA or the data root for another place)"
        )
    parts = list_parts(folder, SUFFIXES, num_classes=config.num_classes, share=config.test, seed_=config.split_seed)
    return _dataset(config, folder, parts, side=config.input_size)


def _dataset(config: ImageNet | ImageFolder, folder: Path, parts: Parts, *, side: int) -> Dataset:
    card = config.card()
    train, test = (_files(folder, part, side, card.in_channels) for part in (parts.train, parts.test))
    mean, std = (tuple(255 * value for value in values[card.in_channels]) for values in (_MEAN, _STD))
    source = f"{folder}, {parts.split}"
    # `whole=False`: a selection of ImageNet has other numbers of samples.
    return described(card, train, test, name=config.name, mean=mean, std=std, source=source, whole=False)


def _files(folder: Path, listing: Listing, side: int, channels: int) -> ImageFiles:
    names: Sequence[str] = [str(file.relative_to(folder)) for file in listing.files]
    return ImageFiles(folder, tuple(names), listing.labels, side, channels)

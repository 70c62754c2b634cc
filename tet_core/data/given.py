"""Images that people hand to a trained network, in the form of the samples that it was trained on.

Shapes: N images, B images of a batch, T time steps, C channels, H and W pixels, S: the side of the network's input.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tet_core.config import (
    Cifar10,
    Cifar100,
    DatasetConfig,
    Digits,
    DvsCifar10,
    EntryPointDataset,
    EventFolder,
    FashionMnist,
    ImageFolder,
    ImageNet,
    Saccades,
)
from tet_core.data import augment, decoding, images
from tet_core.data.dataset import DataError, normalised
from tet_core.data.events import recorded, saccades
from tet_core.static import repeat_over_time

Images = NDArray[Any] | Tensor | Sequence[str | Path]
_Stills = Digits | FashionMnist | Cifar10 | Cifar100 | ImageNet | ImageFolder
# Numbers of channels of an array that Pillow can convert into the data set's.
_CONVERTIBLE = (1, 3, 4)
_BYTE = 255


class _Samples(NamedTuple):
    """Samples that are made batch by batch: their number, and a function from a range of them to a tensor."""

    num: int
    take: Callable[[range], Tensor]


@dataclass(frozen=True)
class Preprocessing:
    """The way from an image to a network's input: the same steps as for the test set.

    Attributes:
        dataset: The data set that the network was trained on. Its files are not needed.
        T: The number of time steps.
        mean: Mean of each channel, in the units of the samples.
        std: Standard deviation of each channel.
    """

    dataset: DatasetConfig
    T: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def batches(self, given: Images, size: int, dtype: torch.dtype, device: torch.device) -> Iterator[Tensor]:
        """Yield the network's inputs `[T, B, C, S, S]`.

        Args:
            given: As for `tet_core.trained.TrainedNetwork.classify`.
            size: B, the number of images of a batch; the last batch may be smaller.
            dtype: The type of the inputs.
            device: The device of the inputs.

        Raises:
            DataError: If the images are not of a kind that the network takes, or a file is damaged.
        """
        samples, card = _samples(given, self.dataset, self.T), self.dataset.card()
        for first in range(0, samples.num, size):
            places = range(first, min(first + size, samples.num))
            taken = samples.take(places).to(device)
            taken = augment.apply((), (), torch.arange(len(places)), taken, card.input_size)
            x = normalised(taken, self.mean, self.std, dtype)
            yield x.transpose(0, 1) if card.is_events else repeat_over_time(x, self.T)


def _samples(given: Images, config: DatasetConfig, T: int) -> _Samples:
    """Return the samples of a data set that given images stand for."""
    files = _files(given)
    array = None if files is not None else _array(given)
    match config:
        case EntryPointDataset():
            if array is None:
                raise DataError(f"files are given; {config.name} {config.entry_point!r} reads its own: give an array")
            return _of_frames(array, config, T) if config.is_events else _as_they_are(array, config)
        case DvsCifar10() | EventFolder():
            return _recordings(files, config, T) if files is not None else _of_frames(_checked(array), config, T)
        case Saccades():
            if array is not None and array.ndim == 5:
                return _of_frames(array, config, T)
            return _recorded(_stills(files, array, config.base), config, T)
        case Digits() | FashionMnist() | Cifar10() | Cifar100() | ImageNet() | ImageFolder():
            return _stills(files, array, config)
        case unknown:
            assert_never(unknown)


def _files(given: Images) -> list[Path] | None:
    """Return the paths if paths are given."""
    if isinstance(given, str | Path):
        raise DataError(f"the images are {str(given)!r}; for one file, give a list with its path")
    if isinstance(given, Tensor) or (isinstance(given, np.ndarray) and given.dtype.kind not in "OU"):
        return None
    values = list(given)
    return [Path(each) for each in values] if all(isinstance(each, str | Path) for each in values) else None


def _array(given: Images) -> NDArray[Any]:
    """Return given pixels as an array.

    Raises:
        DataError: If they are neither an array nor a tensor.
    """
    if isinstance(given, Tensor):
        return np.asarray(given.detach().cpu().numpy())
    if isinstance(given, np.ndarray) and given.dtype.kind not in "OU":
        return given
    raise DataError(
        f"the images are a {type(given).__name__}; they must be an array [N, H, W, C], uint8, or a sequence of paths"
    )


def _checked(array: NDArray[Any] | None) -> NDArray[Any]:
    assert array is not None, "there are paths or an array"
    return array


def _stills(files: list[Path] | None, array: NDArray[Any] | None, config: _Stills) -> _Samples:
    """Return still images `[B, C, side, side]`, uint8, as the data set would have them."""
    card = config.card()
    side = images.canvas(config) if isinstance(config, ImageNet | ImageFolder) else card.input_size
    if files is None:
        return _of_pixels(_checked(array), config, side)
    depth = config.depth if isinstance(config, ImageFolder) else decoding.DEPTH
    names = tuple(str(file) for file in files)
    labels = torch.zeros(len(names), dtype=torch.int64)
    source = images.ImageFiles(Path(), names, labels, side, card.in_channels, depth)

    def take(places: range) -> Tensor:
        pixels = source.take(torch.arange(places.start, places.stop))
        # A file's white is 255; that of the data set may be another number.
        return pixels if card.white == _BYTE else ((pixels.int() * card.white + _BYTE // 2) // _BYTE).to(torch.uint8)

    return _Samples(len(names), take)


def _of_pixels(array: NDArray[Any], config: _Stills, side: int) -> _Samples:
    card = config.card()
    channels = card.in_channels
    expected = f"they must be [N, H, W, C], uint8, from 0 to {card.white}: here [N, {side}, {side}, {channels}]"
    fits = array.ndim == 4 and array.dtype == np.uint8 and array.shape[3] in _CONVERTIBLE and 0 not in array.shape[1:]
    if not fits:
        raise DataError(f"the images are {_described(array)}; {expected}, or images of another size")
    if array.size and (largest := int(array.max())) > card.white:
        raise DataError(f"the images have pixels of {largest}; {expected}")
    if isinstance(config, Digits) and array.shape[1:] == (8, 8, 1):
        array = array.repeat(side // 8, 1).repeat(side // 8, 2)  # as the data set itself enlarges its scans
    if array.shape[1:] == (side, side, channels):
        pixels = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
        return _Samples(len(array), lambda places: pixels[places.start : places.stop])
    return _Samples(
        len(array),
        lambda places: torch.stack([decoding.fitted(array[place], side, channels) for place in places]),
    )


def _as_they_are(array: NDArray[Any], config: EntryPointDataset) -> _Samples:
    """Return still images of an entry point's data set: its units and sizes are its own, so nothing is converted."""
    size, channels = config.input_size, config.in_channels
    if array.ndim != 4 or array.shape[3] != channels or min(array.shape[1:3]) < size or array.dtype.kind not in "biuf":
        raise DataError(
            f"the images are {_described(array)}; they must be [N, {size}, {size}, {channels}], or larger, in the "
            f"units of the entry point {config.entry_point!r}"
        )
    pixels = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
    return _Samples(len(array), lambda places: pixels[places.start : places.stop])


def _of_frames(array: NDArray[Any], config: DatasetConfig, T: int) -> _Samples:
    """Return recordings that are already cut into frames, `[N, T, H, W, C]`."""
    card = config.card()
    shape = (T, card.input_size, card.input_size, card.in_channels)
    if array.ndim != 5 or array.shape[1:] != shape or array.dtype.kind not in "biuf":
        raise DataError(
            f"the images are {_described(array)}; frames of events must be {_in_words(shape)}, numbers of events, "
            "or give paths of recordings"
        )
    frames = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 1, 4, 2, 3)))
    return _Samples(len(array), lambda places: frames[places.start : places.stop])


def _recordings(files: Sequence[Path], config: DvsCifar10 | EventFolder, T: int) -> _Samples:
    def take(places: range) -> Tensor:
        chosen = files[places.start : places.stop]
        return torch.from_numpy(np.stack(list(recorded.frames_of_files(chosen, config, T))))

    return _Samples(len(files), take)


def _recorded(stills: _Samples, config: Saccades, T: int) -> _Samples:
    """Return still images as the simulated camera records them."""

    def take(places: range) -> Tensor:
        at_once = saccades.num_at_once(config)
        frames: list[NDArray[np.int16]] = []
        for first in range(places.start, places.stop, at_once):
            pixels = stills.take(range(first, min(first + at_once, places.stop)))
            frames += saccades.frames_of_images(config, pixels, T, config.base.name)
        return torch.from_numpy(np.stack(frames))

    return _Samples(stills.num, take)


def _described(array: NDArray[Any]) -> str:
    return f"{array.dtype} [{', '.join(map(str, array.shape))}]"


def _in_words(shape: tuple[int, ...]) -> str:
    return f"[N, {', '.join(map(str, shape))}]"

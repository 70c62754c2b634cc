"""Simulated events from any still data set: a model of an event camera records each image while it moves.

The recording depends only on the image, the size of the array and the threshold; it is cut into frames afterwards. It
has no noise, and nothing is drawn at random.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tet_core.config import Saccades
from tet_core.data.augment import geometry
from tet_core.data.dataset import Dataset, Samples
from tet_core.data.events import pixel
from tet_core.data.events.cache import FrameRequest
from tet_core.data.events.recording import frames
from tet_core.data.events.samples import of_frames
from tet_core.data.images import ImageFiles

MODEL = 1  # version of the simulation: increase it when results change, so that new caches are made
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601
_BATCH_PIXELS = 1 << 18  # number of sensor pixels simulated at once


def simulate(config: Saccades, base: Dataset, root: Path, T: int) -> Dataset:
    """Record every image of a still data set, and cut the recordings into T frames.

    Args:
        config: Size of the array, threshold and slicing.
        base: The still images that `config.base` names.
        root: The data root, for the cache.
        T: Number of frames of a recording.

    Raises:
        DataError: If the frames cannot be stored, or the base cannot be read.
    """
    card = config.card()
    recipe = {
        "dataset": "saccades, simulated",
        "model": MODEL,
        "base": config.base.model_dump(mode="json"),
        "base_digest": base.digest,
        "base_files": [_times(samples) for samples in (base.train, base.test)],
        "threshold": config.threshold,
        "slicing": config.slicing,
    }
    name = f"saccades({base.name}), simulated"

    def make() -> Iterator[NDArray[np.int16]]:
        for samples in (base.train, base.test):
            yield from _frames(config, samples, T, base.name)

    request = FrameRequest(name, recipe, len(base.train) + len(base.test), T, card.input_size, make)
    source = f"events simulated from {base.name} ({base.source}), threshold {config.threshold}"
    return of_frames(card, request, root, base.train.labels, base.test.labels, source, base.classes)


def _times(samples: Samples) -> str | None:
    """Return the SHA-256 over the files' modification times if the digest covers only their names and sizes."""
    if not isinstance(samples, ImageFiles):
        return None
    times = [(samples.root / name).stat().st_mtime_ns for name in samples.names]
    return sha256(repr(times).encode()).hexdigest()


def _frames(config: Saccades, samples: Samples, T: int, name: str) -> Iterator[NDArray[np.int16]]:
    for indices in torch.split(torch.arange(len(samples)), num_at_once(config)):
        yield from frames_of_images(config, samples.take(indices), T, name)


def num_at_once(config: Saccades) -> int:
    """Return how many images to record at once: their pixels fit into a processor's cache."""
    return max(_BATCH_PIXELS // config.input_size**2, 1)


def frames_of_images(config: Saccades, images: Tensor, T: int, name: str) -> Iterator[NDArray[np.int16]]:
    """Yield the T frames `[T, 2, S, S]` that the camera gives of one still image after another.

    Args:
        config: The camera and the still images.
        images: `[B, C, H, W]`, uint8: samples of the still data set, on the CPU.
        T: Number of frames.
        name: The name of the still data set, for errors.
    """
    still, size = config.base.card(), config.input_size
    images = geometry.centre_crop(images, still.input_size)
    for events in pixel.record_images(intensity(images.numpy(), still.white), size, config.threshold):
        yield frames(events, T, config.slicing, sensor_size=size, input_size=size, name=name)


def intensity(images: NDArray[np.uint8], white: int) -> NDArray[np.float64]:
    """Return intensities `[B, H, W]` from 0 to 1 of images `[B, C, H, W]` whose largest value is `white`."""
    weights = np.array(LUMA if images.shape[1] == len(LUMA) else (1 / images.shape[1],) * images.shape[1])
    light: NDArray[np.float64] = (images * weights[:, None, None]).sum(1) / white
    return light

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
_BATCH_PIXELS = 1 << 18  # number of sensor pixels simulated at once: they fit into a processor's cache


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
            yield from _frames(config, base, samples, T)

    request = FrameRequest(name, recipe, len(base.train) + len(base.test), T, card.input_size, make)
    source = f"events simulated from {base.name} ({base.source}), threshold {config.threshold}"
    return of_frames(card, request, root, base.train.labels, base.test.labels, source)


def _times(samples: Samples) -> str | None:
    """Return the SHA-256 over the files' modification times if the digest covers only their names and sizes."""
    if not isinstance(samples, ImageFiles):
        return None
    times = [(samples.root / name).stat().st_mtime_ns for name in samples.names]
    return sha256(repr(times).encode()).hexdigest()


def _frames(config: Saccades, base: Dataset, samples: Samples, T: int) -> Iterator[NDArray[np.int16]]:
    size = config.input_size
    white = config.base.card().white
    for indices in torch.split(torch.arange(len(samples)), max(_BATCH_PIXELS // size**2, 1)):
        images = geometry.centre_crop(samples.take(indices), base.input_size)
        for events in pixel.record_images(intensity(images.numpy(), white), size, config.threshold):
            yield frames(events, T, config.slicing, sensor_size=size, input_size=size, name=base.name)


def intensity(images: NDArray[np.uint8], white: int) -> NDArray[np.float64]:
    """Return intensities `[B, H, W]` from 0 to 1 of images `[B, C, H, W]` whose largest value is `white`."""
    weights = np.array(LUMA if images.shape[1] == len(LUMA) else (1 / images.shape[1],) * images.shape[1])
    light: NDArray[np.float64] = (images * weights[:, None, None]).sum(1) / white
    return light

"""Small data sets in the formats of the published ones, written independently of the code that reads them."""

import pickle
import random
import struct
from pathlib import Path

import numpy as np
from PIL import Image

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NUM_IMAGENET_CLASSES = 2


def write_all(root: Path) -> None:
    """Write all data sets of the presets under a data root."""
    write_cifar10(root / "cifar10" / "cifar-10-batches-py")
    write_cifar100(root / "cifar100" / "cifar-100-python")
    write_imagenet(root / "imagenet")
    write_dvs_cifar10(root / "dvs_cifar10")


def _records(num: int, seed: int) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    return np.random.default_rng(seed).integers(0, 256, (num, 3072), dtype=np.uint8)


def write_cifar10(folder: Path, per_batch: int = 2) -> None:
    """Write CIFAR-10's python version: five training batches and a test batch, as pickles of Python 2."""
    folder.mkdir(parents=True)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for seed, name in enumerate(names):
        labels = [(seed + i) % 10 for i in range(per_batch)]
        batch = {
            b"batch_label": name.encode(),
            b"labels": labels,
            b"data": _records(per_batch, seed),
            b"filenames": [f"{name}_{i}.png".encode() for i in range(per_batch)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"label_names": [name.encode() for name in CIFAR10_CLASSES], b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))


def write_cifar100(folder: Path, num_train: int = 8, num_test: int = 4) -> None:
    """Write CIFAR-100's python version: one training and one test file with fine and coarse labels."""
    folder.mkdir(parents=True)
    for seed, (name, number) in enumerate((("train", num_train), ("test", num_test))):
        batch = {
            b"batch_label": name.encode(),
            b"fine_labels": [(7 * i + seed) % 100 for i in range(number)],
            b"coarse_labels": [i % 20 for i in range(number)],
            b"data": _records(number, 10 + seed),
            b"filenames": [f"{name}_{i}.png".encode() for i in range(number)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


def write_imagenet(folder: Path, per_class: int = 2) -> None:
    """Write a tree like ImageNet's: `train` and `val` have a folder for each WordNet id, with JPEGs of many sizes."""
    draw = np.random.default_rng(5)
    for part in ("train", "val"):
        for wnid in ("n01440764", "n02119789")[:NUM_IMAGENET_CLASSES]:
            (folder / part / wnid).mkdir(parents=True)
            for index in range(per_class):
                height, width = (int(side) for side in draw.integers(180, 420, 2))
                pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / wnid / f"{wnid}_{index}.JPEG", quality=85)


def write_dvs_cifar10(folder: Path, per_class: int = 2, num_events: int = 400) -> None:
    """Write CIFAR10-DVS: AEDAT 2.0 recordings of a 128x128 camera; an event is a big-endian address and time."""
    draw = random.Random(6)
    for name in CIFAR10_CLASSES:
        (folder / name).mkdir(parents=True)
        for index in range(per_class):
            times = sorted(draw.randrange(1_300_000) for _ in range(num_events))
            events = b"".join(
                struct.pack(">II", draw.randrange(128) << 8 | draw.randrange(128) << 1 | draw.randrange(2), time)
                for time in times
            )
            header = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# created for a test\r\n"
            (folder / name / f"cifar10_{name}_{index}.aedat").write_bytes(header + events)

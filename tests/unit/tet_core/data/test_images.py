"""Image files that are decoded during training."""

import itertools
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.original_data import write_imagenet
from tests.unit.tet_core.stages import make_config
from tet_core import train_epochs
from tet_core.config import Crop, ImageFolder, ImageNet
from tet_core.data import DataError, images, load_dataset
from tet_core.data.loader import PREFETCH, taken


def picture(path: Path, width: int, height: int, *, seed: int = 0, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def own_images(root: Path, *, per_class: int = 4) -> ImageFolder:
    for label, index in itertools.product(("cat", "dog"), range(per_class)):
        picture(root / "pets" / label / f"{index}.png", 20 + index, 16, seed=index)
    return ImageFolder(folder="pets", num_classes=2, input_size=8, test=0.25)


@pytest.mark.parametrize(("width", "height"), [(64, 32), (32, 64), (33, 32)])
def test_the_shorter_side_is_scaled_and_the_middle_cut_out(tmp_path: Path, width: int, height: int) -> None:
    picture(tmp_path / "a.png", width, height)
    with Image.open(tmp_path / "a.png") as image:
        scaled = np.asarray(image.resize((width // 2, height // 2), Image.Resampling.BILINEAR))
    left, top = (scaled.shape[1] - 16) // 2, (scaled.shape[0] - 16) // 2
    expected = torch.from_numpy(scaled[top : top + 16, left : left + 16].copy()).permute(2, 0, 1)
    assert torch.equal(images.decode(tmp_path / "a.png", 16, 3), expected)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_mode_becomes_colour_or_grey(tmp_path: Path, mode: str) -> None:
    name = "a.jpg" if mode == "CMYK" else "a.png"
    picture(tmp_path / name, 9, 9, mode=mode)
    assert images.decode(tmp_path / name, 9, 3).shape == (3, 9, 9)
    assert images.decode(tmp_path / name, 9, 1).shape == (1, 9, 9)


def test_of_16_bits_the_upper_8_are_kept(tmp_path: Path) -> None:
    values = np.array([[0, 255], [256, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert images.decode(tmp_path / "a.png", 2, 1).tolist() == [[[0, 0], [1, 255]]]


def _bomb(path: Path) -> None:
    """Write a PNG whose header says that it has 10^8 pixels."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    )
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def test_a_file_that_is_no_image_or_damaged_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "short.jpg", 64, 64)
    (tmp_path / "short.jpg").write_bytes((tmp_path / "short.jpg").read_bytes()[:500])
    (tmp_path / "text.png").write_text("no image")
    _bomb(tmp_path / "bomb.png")
    for name, complaint in (
        ("short.jpg", "[Tt]runcated"),
        ("text.png", "cannot identify"),
        ("bomb.png", "exceeds limit"),
    ):
        with pytest.raises(DataError, match=f"{re.escape(str(tmp_path / name))}: damaged, .*{complaint}"):
            images.decode(tmp_path / name, 8, 3)
    with pytest.raises(DataError, match=r"gone\.png: no such file"):
        images.decode(tmp_path / "gone.png", 8, 3)


def test_a_users_folder_is_split_by_its_seed(tmp_path: Path) -> None:
    dataset = load_dataset(own_images(tmp_path), tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (6, 2)
    assert dataset.test.labels.tolist() == [0, 1]
    assert dataset.train.take(torch.tensor([5, 0])).shape == (2, 3, 8, 8)
    assert "split drawn with seed 0, test share 0.25" in dataset.source


def test_a_wrong_number_of_classes_is_named(tmp_path: Path) -> None:
    config = own_images(tmp_path).model_copy(update={"num_classes": 3})
    with pytest.raises(DataError, match=r"pets: holds 2 class folders \(cat, dog\); num_classes is 3"):
        load_dataset(config, tmp_path)


def test_a_missing_folder_is_named_with_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"image_folder is not here: looked for .*/birds; put one folder for each class there"
    ):
        load_dataset(ImageFolder(folder="birds", num_classes=2, input_size=8), tmp_path)
    with pytest.raises(DataError, match=r"imagenet is not here: .*train and no val\. Get ILSVRC2012 \(148 GB\) from"):
        load_dataset("imagenet", tmp_path)


def test_images_of_imagenet_are_larger_than_the_input_so_that_they_can_be_cropped(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet")
    dataset = load_dataset(ImageNet(num_classes=2, input_size=28), tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (4, 4)
    assert dataset.train.take(torch.tensor([0])).shape == (1, 3, 32, 32)


def test_an_epoch_has_the_same_bits_with_any_number_of_decoding_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(dataset=own_images(tmp_path), epochs=2, augmentation=({"name": "resized_crop"},))
    hashes = []
    for threads in (1, 3):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        assert images.num_threads() == threads
        *_, last = train_epochs(config, data_root=tmp_path)
        hashes.append(last.weights_sha256)
    assert hashes[0] == hashes[1]


def test_batches_are_decoded_ahead_but_not_all_at_once(tmp_path: Path) -> None:
    samples = load_dataset(own_images(tmp_path, per_class=20), tmp_path).train
    asked: list[int] = []

    class Watched:
        streams = True
        labels = samples.labels

        def take(self, indices: torch.Tensor) -> torch.Tensor:
            asked.append(int(indices[0]))
            return samples.take(indices)

    batches = taken(Watched(), torch.split(torch.arange(30), 2))  # type: ignore[arg-type]
    indices, images_ = next(batches)
    assert torch.equal(images_, samples.take(indices))
    batches.close()  # type: ignore[attr-defined]
    assert 1 <= len(asked) <= PREFETCH + 1
    assert asked == sorted(asked)


def test_a_damaged_image_ends_the_epoch_with_its_name(tmp_path: Path) -> None:
    config = make_config(dataset=own_images(tmp_path), epochs=1)
    (tmp_path / "pets" / "cat" / "1.png").write_bytes(b"no image")
    (tmp_path / "pets" / "cat" / "2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cat/[12]\.png: damaged, truncated or no image"):
        next(train_epochs(config, data_root=tmp_path))


def test_the_digest_depends_on_names_sizes_and_labels(tmp_path: Path) -> None:
    config = own_images(tmp_path)
    first = load_dataset(config, tmp_path).digest
    assert images.load_folder(config, tmp_path).digest == first
    picture(tmp_path / "pets" / "cat" / "1.png", 90, 90)
    assert images.load_folder(config, tmp_path).digest != first


@pytest.mark.parametrize("size", [1, 7, 8, 519, 520, 1024])
def test_every_input_size_has_a_default_crop(size: int) -> None:
    card = ImageFolder(folder="pictures", num_classes=2, input_size=size).card()
    assert card.augmentation[0] == Crop(padding=max(1, size // 8))

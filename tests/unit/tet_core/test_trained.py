"""Tests of trained networks that answer without the data that they were trained on."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.unit.tet_core.recordings import write_aedat
from tests.unit.tet_core.stages import make_config
from tet_core import Dataset, load, load_dataset, train_epochs
from tet_core.checkpoint import save_checkpoint
from tet_core.config import TrainConfig
from tet_core.data.events.samples import FrameSamples
from tet_core.data.folders import list_parts
from tet_core.data.images import ImageFiles
from tet_core.errors import CheckpointError, DataError
from tet_core.train.epochs import Epoch

ROOT = "data"
KINDS: dict[str, dict[str, Any]] = {
    "digits": {"dataset": {"name": "digits"}},
    "enlarged digits": {"dataset": {"name": "digits", "input_size": 16}},
    "images": {
        "dataset": {"name": "image_folder", "folder": "lab", "num_classes": 3, "input_size": 8, "test": 0.5},
    },
    "a larger canvas": {"dataset": {"name": "imagenet", "folder": "net", "num_classes": 3, "input_size": 14}},
    "recordings": {
        "dataset": {"name": "event_folder", "folder": "dvs", "num_classes": 2, "input_size": 8, "test": 0.5},
    },
    "saccades": {"dataset": {"name": "saccades", "base": {"name": "digits"}, "input_size": 8}},
    "saccades of images": {
        "dataset": {
            "name": "saccades",
            "base": {"name": "image_folder", "folder": "lab", "num_classes": 3, "input_size": 8, "test": 0.5},
            "input_size": 8,
        },
    },
}


def config_of(kind: str) -> TrainConfig:
    return make_config(**KINDS[kind], T=2, epochs=2, batch_size=32, augmentation=())


def write_data(root: Path) -> None:
    """Write folders of pictures and of recordings."""
    generator = np.random.default_rng(0)
    for label, name in enumerate(("ants", "bees", "naïve cats")):
        folder = root / "lab" / name
        folder.mkdir(parents=True)
        for number in range(20):
            height, width = generator.integers(8, 20, 2)
            pixels = generator.integers(0, 160, (height, width, 3)) + 30 * label
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    for part in ("train", "val"):
        shutil.copytree(root / "lab", root / "net" / part)
    for label, name in enumerate(("left", "right")):
        for number in range(12):
            t = np.sort(generator.integers(0, 90_000, 60)).tolist()
            x = (generator.integers(0, 80, 60) + 48 * label).tolist()
            y, p = generator.integers(0, 128, 60).tolist(), generator.integers(0, 2, 60).tolist()
            write_aedat(root / "dvs" / name / f"{number}.aedat", zip(t, x, y, p, strict=True))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data under `data`."""
    path = tmp_path_factory.mktemp("trained")
    write_data(path / ROOT)
    return path


@pytest.fixture(scope="module")
def trained(home: Path) -> Callable[[str], tuple[Path, Epoch, Dataset]]:
    """Return a function from a kind to its checkpoint's file, its last epoch and its data set."""
    found: dict[str, tuple[Path, Epoch, Dataset]] = {}

    def of(kind: str) -> tuple[Path, Epoch, Dataset]:
        if kind not in found:
            config, path = config_of(kind), home / f"{kind}.pt"
            *_, last = train_epochs(config, data_root=home / ROOT)
            save_checkpoint(last.checkpoint(), path)
            found[kind] = path, last, load_dataset(config.dataset, home / ROOT, T=config.T)
        return found[kind]

    return of


def as_people_have_them(kind: str, home: Path) -> NDArray[np.uint8] | list[Path]:
    """Return the test samples as arrays, or as paths of files."""
    config = config_of(kind)
    still = load_dataset(getattr(config.dataset, "base", config.dataset), home / ROOT, T=config.T).test
    if isinstance(still, ImageFiles):
        return [still.root / name for name in still.names]
    if isinstance(still, FrameSamples):
        return _recordings(still, home / ROOT / "dvs", config)
    return still.take(torch.arange(len(still))).permute(0, 2, 3, 1).numpy()


def _recordings(test: FrameSamples, folder: Path, config: TrainConfig) -> list[Path]:
    """Return the recordings of the test set: the split is drawn again, as the data set draws it."""
    assert config.dataset.name == "event_folder"
    parts = list_parts(folder, {".aedat"}, num_classes=2, share=config.dataset.test, seed_=config.dataset.split_seed)
    assert parts.test.labels.tolist() == test.labels.tolist()
    return parts.test.files


@pytest.mark.parametrize("kind", KINDS)
def test_every_test_sample_is_classified_as_after_the_training(
    kind: str, home: Path, trained: Callable[[str], tuple[Path, Epoch, Dataset]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, last, dataset = trained(kind)
    given = as_people_have_them(kind, home)
    monkeypatch.setenv("TET_DATA", str(home / "nowhere"))
    network = load(path)
    answers = np.array(network.classify(given))
    names = np.array(network.classes)[dataset.test.labels.numpy()]
    assert (answers == names).tolist() == last.is_correct.tolist()
    assert (answers == names).mean() == network.metrics["test/accuracy"]
    assert last.is_correct.sum() > 0, "an accuracy of 0 would be equal by chance"


@pytest.mark.parametrize(
    ("kind", "classes"),
    [
        ("digits", tuple("0123456789")),
        ("images", ("ants", "bees", "naïve cats")),
        ("recordings", ("left", "right")),
        ("saccades of images", ("ants", "bees", "naïve cats")),
    ],
)
def test_a_network_has_the_names_of_its_classes_its_preprocessing_and_t(
    kind: str, classes: tuple[str, ...], trained: Callable[[str], tuple[Path, Epoch, Dataset]]
) -> None:
    path, _, dataset = trained(kind)
    network = load(path)
    assert network.classes == classes
    assert (network.preprocessing.mean, network.preprocessing.std) == (dataset.mean, dataset.std)
    assert (network.T, network.preprocessing.T) == (2, 2)
    assert not network.model.training


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_an_earlier_version_has_no_names_and_gives_the_same_outputs(
    kind: str, home: Path, trained: Callable[[str], tuple[Path, Epoch, Dataset]], tmp_path: Path
) -> None:
    path, last, dataset = trained(kind)
    earlier = {key: value for key, value in last.checkpoint().items() if key != "data"}
    save_checkpoint(earlier, tmp_path / "earlier.pt")
    network, given = load(tmp_path / "earlier.pt"), as_people_have_them(kind, home)
    assert network.classes == tuple(str(label) for label in range(dataset.num_classes))
    assert torch.equal(network.scores(given), load(path).scores(given))


def test_frames_and_tensors_are_taken_too(home: Path, trained: Callable[[str], tuple[Path, Epoch, Dataset]]) -> None:
    path, _, dataset = trained("recordings")
    network = load(path)
    frames = dataset.test.take(torch.arange(len(dataset.test))).permute(0, 1, 3, 4, 2)
    from_files = network.scores(as_people_have_them("recordings", home))
    assert torch.equal(network.scores(frames), from_files)
    assert torch.equal(network.scores(frames.numpy()), from_files)


def test_an_array_is_converted_as_the_file_of_these_pixels(
    trained: Callable[[str], tuple[Path, Epoch, Dataset]], tmp_path: Path
) -> None:
    network = load(trained("images")[0])
    generator = np.random.default_rng(1)
    for height, width, channels in ((8, 8, 3), (40, 23, 3), (9, 31, 1), (12, 12, 4)):
        pixels = generator.integers(0, 256, (height, width, channels)).astype(np.uint8)
        Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(tmp_path / "one.png")
        assert torch.equal(network.scores(pixels[None]), network.scores([str(tmp_path / "one.png")]))


def test_the_white_of_a_file_is_the_white_of_the_data_set(
    trained: Callable[[str], tuple[Path, Epoch, Dataset]], tmp_path: Path
) -> None:
    network = load(trained("digits")[0])
    levels = np.arange(64).reshape(8, 8) % 17
    Image.fromarray((levels * 255 / 16).round().astype(np.uint8)).save(tmp_path / "digit.png")
    assert torch.equal(
        network.scores([tmp_path / "digit.png"]), network.scores(levels.astype(np.uint8)[None, :, :, None])
    )


def test_without_images_the_answer_is_empty(trained: Callable[[str], tuple[Path, Epoch, Dataset]]) -> None:
    network = load(trained("digits")[0])
    assert network.classify(np.empty((0, 8, 8, 1), np.uint8)) == []
    assert network.classify([]) == []


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (
            "digits",
            np.zeros((2, 8, 8, 1)),
            r"the images are float64 \[2, 8, 8, 1\]; they must be \[N, H, W, C\], uint8",
        ),
        (
            "digits",
            np.zeros((2, 8, 8), np.uint8),
            r"uint8 \[2, 8, 8\]; they must be \[N, H, W, C\], uint8, from 0 to 16",
        ),
        ("digits", np.full((1, 8, 8, 1), 255, np.uint8), r"the images have pixels of 255; .* from 0 to 16"),
        ("images", np.zeros((2, 8, 8, 5), np.uint8), r"here \[N, 8, 8, 3\], or images of another size"),
        ("images", "cat.png", r"the images are 'cat.png'; for one file, give a list with its path"),
        ("images", ["nowhere.png"], r"nowhere.png: no such file"),
        (
            "images",
            [3, 4],
            r"the images are a list; they must be an array \[N, H, W, C\], uint8, or a sequence of paths",
        ),
        ("recordings", np.zeros((1, 3, 8, 8, 2), np.uint8), r"frames of events must be \[N, 2, 8, 8, 2\]"),
        ("recordings", np.zeros((1, 8, 8, 3), np.uint8), r"frames of events must be .* or give paths of recordings"),
        ("recordings", [Path("nowhere.aedat")], r"nowhere.aedat: cannot be read"),
    ],
)
def test_images_that_do_not_fit_the_network_are_refused(
    kind: str, given: Any, message: str, trained: Callable[[str], tuple[Path, Epoch, Dataset]]
) -> None:
    network = load(trained(kind)[0])
    with pytest.raises(DataError, match=message):
        network.classify(given)


def test_images_of_an_entry_points_data_set_are_taken_in_its_own_units(
    trained: Callable[[str], tuple[Path, Epoch, Dataset]], tmp_path: Path
) -> None:
    _, last, dataset = trained("digits")
    checkpoint = last.checkpoint()
    own = {"name": "entry_point", "entry_point": "lab", "num_classes": 10, "in_channels": 1, "input_size": 8}
    checkpoint = checkpoint | {"config": checkpoint["config"] | {"dataset": own}}
    save_checkpoint(checkpoint, tmp_path / "own.pt")
    network = load(tmp_path / "own.pt")
    images = dataset.test.take(torch.arange(len(dataset.test))).permute(0, 2, 3, 1)
    right = network.scores(images.float()).argmax(1) == dataset.test.labels
    assert right.tolist() == last.is_correct.tolist()
    with pytest.raises(
        DataError, match=r"they must be \[N, 8, 8, 1\], or larger, in the units of the entry point 'lab'"
    ):
        network.classify(images[:, :4])
    with pytest.raises(DataError, match="files are given; entry_point 'lab' reads its own: give an array"):
        network.classify(["cat.png"])
    save_checkpoint({key: value for key, value in checkpoint.items() if key != "data"}, tmp_path / "earlier.pt")
    with pytest.raises(CheckpointError, match="how the samples of entry_point 'lab' are normalised"):
        load(tmp_path / "earlier.pt")

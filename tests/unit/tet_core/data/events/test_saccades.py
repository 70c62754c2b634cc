"""Tests of simulated events: a recording is the same for every T; stages train on it and resume; a sweep runs."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.original_data import write_cifar10
from tests.unit.tet_core.stages import make_config
from tet_core import analyse
from tet_core.config import Cifar10, ImageFolder, Saccades, TimeSweep, TrainConfig
from tet_core.data import load_dataset
from tet_core.data.events import pixel
from tet_core.data.events.recording import frames
from tet_core.data.events.saccades import intensity, simulate
from tet_core.data.images import load_folder
from tet_core.measure.evaluation import measure
from tet_core.network import build_network
from tet_core.train.epochs import train_epochs

EVENTS: dict[str, Any] = {"name": "saccades", "base": {"name": "digits"}, "input_size": 16, "threshold": 0.4}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root that all tests of this file share, so that each T is simulated once."""
    return tmp_path_factory.mktemp("data")


def config(**fields: object) -> Saccades:
    return Saccades.model_validate(EVENTS | fields)


def test_name_and_source_say_simulated(root: Path) -> None:
    dataset = load_dataset(config(), root, T=2)
    assert dataset.name == "saccades(digits), simulated"
    assert dataset.source.startswith("events simulated from digits (sklearn")
    assert (len(dataset.train), len(dataset.test), dataset.T) == (1442, 355, 2)
    assert torch.equal(dataset.train.labels, load_dataset("digits").train.labels)


@pytest.mark.parametrize("slicing", ["count", "time"])
def test_the_recording_is_the_same_for_every_T(root: Path, slicing: str) -> None:
    fields = {"slicing": slicing, "input_size": 8}
    one, two, five = (load_dataset(config(**fields), root, T=T).test.take(torch.arange(355)) for T in (1, 2, 5))
    assert torch.equal(two.sum(1, keepdim=True), one)
    assert torch.equal(five.sum(1, keepdim=True), one)


def test_a_data_set_has_the_frames_of_each_images_own_recording(root: Path) -> None:
    dataset, digits = load_dataset(config(), root, T=2), load_dataset("digits")
    for part, still in ((dataset.train, digits.train), (dataset.test, digits.test)):
        indices = torch.tensor([0, 100, 354])
        recordings = pixel.record_images(intensity(still.take(indices).numpy(), 16), 16, 0.4)
        for index, events in zip(indices, recordings, strict=True):
            expected = frames(events, 2, "count", sensor_size=16, input_size=16, name="digit")
            assert torch.equal(part.take(index[None])[0], torch.from_numpy(expected))


def test_another_threshold_or_size_makes_other_events(root: Path) -> None:
    recordings = {
        int(load_dataset(config(**fields), root, T=2).train.take(torch.tensor([0])).sum())
        for fields in ({}, {"threshold": 0.8}, {"input_size": 8})
    }
    assert len(recordings) == 3


def test_colour_counts_as_luma() -> None:
    images = torch.tensor([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]).view(4, 3, 1, 1).to(torch.uint8)
    assert intensity(images.numpy(), 255).ravel().tolist() == pytest.approx([0.299, 0.587, 0.114, 1])


def test_events_are_simulated_from_a_users_images_and_again_after_a_change(tmp_path: Path) -> None:
    for name in ("dark", "light"):
        for number in range(4):
            path = tmp_path / "own" / name / f"{number}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            stripes(number).save(path)
    base = {"name": "image_folder", "folder": "own", "num_classes": 2, "input_size": 12}
    mine = config(base=base)
    assert isinstance(mine.base, ImageFolder)
    first = simulate(mine, load_folder(mine.base, tmp_path), tmp_path, 2)
    assert (first.name, len(first.train), len(first.test)) == ("saccades(image_folder), simulated", 6, 2)
    before = first.train.take(torch.arange(6))
    assert bool((before.sum((1, 2, 3, 4)) > 0).all())
    for path in (tmp_path / "own").rglob("*.bmp"):  # the new images have the same size
        stripes(9).save(path)
        os.utime(path, ns=(1, 1))
    after = simulate(mine, load_folder(mine.base, tmp_path), tmp_path, 2).train.take(torch.arange(6))
    assert not torch.equal(before, after)


def stripes(number: int) -> Image.Image:
    """Return an image of 20x16 pixels."""
    pixels = np.arange(20 * 16 * 3).reshape(16, 20, 3) * (number + 1) % 256
    return Image.fromarray(pixels.astype(np.uint8))


def stage(**fields: Any) -> TrainConfig:
    model = {"name": "vggsnn", "width": 4, "norm": {"name": "tebn"}}
    augmentation = ({"name": "roll", "pixels": 2}, {"name": "nda", "pixels": 2})
    return make_config(dataset=EVENTS, model=model, augmentation=augmentation, batch_size=128, **fields)


@pytest.mark.slow
def test_a_stage_on_events_is_resumed_to_the_same_bits(root: Path) -> None:
    first, second = train_epochs(stage(), data_root=root)
    (again,) = train_epochs(stage(), resume=first.checkpoint(), data_root=root)
    assert again.weights_sha256 == second.weights_sha256
    assert again.metrics["test/loss"] == second.metrics["test/loss"]


def test_a_sweep_slices_the_recordings_again_and_uses_the_last_scale_after_the_trained_T(root: Path) -> None:
    (epoch,) = train_epochs(stage(epochs=1), data_root=root)
    checkpoint = epoch.checkpoint()
    rows = list(analyse(checkpoint, TimeSweep(T=(1, 2, 4)), data_root=root))
    assert rows[1].metrics["time_sweep/loss"] == epoch.metrics["test/loss"]
    model = build_network(stage(epochs=1))
    model.load_state_dict(checkpoint["model"])
    for row in rows:
        dataset = load_dataset(config(), root, T=row.step)
        found = measure(model, dataset, dataset.test, stage(epochs=1).model_copy(update={"T": row.step}))
        assert row.metrics["time_sweep/loss_sdt"] == found["loss_sdt"]
        assert row.step == dataset.T


def test_a_selection_of_a_data_set_can_be_simulated_too(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "cifar10")
    config = Saccades(base=Cifar10(), input_size=16)
    dataset = load_dataset(config, tmp_path, T=2)
    assert (len(dataset.train), len(dataset.test)) == (10, 2)
    assert "10 of 50,000 samples: not the published set" in dataset.source

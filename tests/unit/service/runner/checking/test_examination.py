"""Tests of the examination of configurations, on real data sets and networks."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from service.failures import FailureType
from service.runner.checking.check_records import CheckReport, FaultScope
from service.runner.checking.check_subjects import data_key, subject_key
from service.runner.checking.examination import examine
from tet_core.config import TrainConfig

IMAGES = {"name": "image_folder", "folder": "images", "num_classes": 2, "input_size": 8, "in_channels": 1}
PACKAGE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_channels, least):
        super().__init__()
        self.least, self.linear = least, nn.Linear(in_channels, num_classes)
    def forward(self, x):
        if x.shape[1] < self.least:
            raise ValueError(f"a batch of {x.shape[1]}")
        return self.linear(x.mean((3, 4)))

def good(*, num_classes, in_channels, least=1, **arguments):
    return Net(num_classes, in_channels, least)

def wrong(*, num_classes, in_channels, **arguments):
    return Net(num_classes + 1, in_channels, 1)
"""


def config(**changes: Any) -> TrainConfig:
    base = {"dataset": {"name": "digits"}, "model": {"name": "vgg_small", "width": 2}, "T": 4, "epochs": 3}
    return TrainConfig.model_validate(base | {"loss": {"name": "sdt"}, "batch_size": 16} | changes)


def images(root: Path, **numbers: int) -> None:
    for name, number in numbers.items():
        (root / "images" / name).mkdir(parents=True)
        for index in range(number):
            Image.effect_noise((8, 8), 50).save(root / "images" / name / f"{index}.png")


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    info = site / "checked_net-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "checked_net.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: checked-net\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tet.models]\ngood = checked_net:good\nwrong = checked_net:wrong\n")
    monkeypatch.syspath_prepend(str(site))


def only_fault(report: CheckReport) -> tuple[FaultScope, str, FailureType, str]:
    (fault,) = report.faults
    return fault.scope, fault.key, fault.failure.type, fault.failure.message


def test_configurations_that_can_run_have_no_fault(tmp_path: Path) -> None:
    images(tmp_path, cat=4, dog=4)
    subjects = [config(dataset=IMAGES), config(dataset=IMAGES, T=2, loss={"name": "tet"}), config(dataset=IMAGES, T=9)]
    report = examine(subjects, tmp_path)
    assert report.faults == ()
    assert report.checked == tuple(map(subject_key, subjects))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({}, "images"),
        ({"cat": 3, "dog": 3, "owl": 3}, "num_classes is 2"),
        ({"cat": 1, "dog": 3}, "one sample|only one|at least 2|holds 1"),
    ],
    ids=["no folder", "other num_classes", "a class of one image"],
)
def test_a_faulty_data_set_is_one_fault_of_all_configurations(
    tmp_path: Path, numbers: dict[str, int], words: str
) -> None:
    images(tmp_path, **numbers)
    subjects = [config(dataset=IMAGES), config(dataset=IMAGES, T=2)]
    scope, key, type_, message = only_fault(examine(subjects, tmp_path))
    assert (scope, type_) == (FaultScope.DATA, FailureType.DATA)
    assert key == data_key(subjects[0]) == data_key(subjects[1])
    assert any(word in message for word in words.split("|")), message


def test_a_damaged_first_test_sample_is_a_fault(tmp_path: Path) -> None:
    for part in ("train", "test"):
        images(tmp_path / part, cat=2, dog=2)
        (tmp_path / part / "images").rename(tmp_path / f"{part}-images")
    (tmp_path / "images").mkdir()
    for part in ("train", "test"):
        (tmp_path / f"{part}-images").rename(tmp_path / "images" / part)
    (tmp_path / "images" / "test" / "cat" / "0.png").write_bytes(b"no image")
    scope, _, type_, message = only_fault(examine([config(dataset=IMAGES)], tmp_path))
    assert (scope, type_) == (FaultScope.DATA, FailureType.DATA)
    assert "cat/0.png" in message


def test_a_split_without_samples_is_a_fault_of_the_data() -> None:
    subject = config(validation=0.0001)
    scope, _, type_, message = only_fault(examine([subject], None))
    assert (scope, type_) == (FaultScope.DATA, FailureType.SPEC)
    assert message.startswith("validation is 0.0001; of 1442 samples this leaves 1442 to train on and 0 to validate on")


@pytest.mark.usefixtures("_installed")
def test_a_misspelt_network_is_a_fault_of_its_configurations_only() -> None:
    good = config(model={"name": "entry_point", "entry_point": "good"})
    misspelt = config(model={"name": "entry_point", "entry_point": "goood"})
    scope, key, type_, message = only_fault(examine([good, misspelt], None))
    assert (scope, key, type_) == (FaultScope.SUBJECT, subject_key(misspelt), FailureType.SPEC)
    assert message.startswith("entry_point is 'goood'; installed here under 'tet.models': ")
    assert message.endswith("; did you mean 'good'?")


@pytest.mark.usefixtures("_installed")
def test_a_network_with_other_outputs_is_a_fault() -> None:
    _, _, type_, message = only_fault(examine([config(model={"name": "entry_point", "entry_point": "wrong"})], None))
    assert type_ is FailureType.ERROR
    assert message == "entry_point 'wrong' gave outputs (4, 16, 11); they must be [T, B, K], here (4, 16, 10)"


@pytest.mark.usefixtures("_installed")
def test_a_network_that_only_refuses_a_small_batch_has_no_fault() -> None:
    model = {"name": "entry_point", "entry_point": "good", "options": {"least": 16}}
    assert examine([config(model=model)], None).faults == ()


def test_what_is_not_checked_in_time_is_left_to_the_trials() -> None:
    subjects, times = [config(T=T) for T in (1, 2, 3)], itertools.count(0.0, 6.0)
    report = examine(subjects, None, budget_s=10.0, clock=lambda: next(times))
    assert report.num_subjects == 3
    assert report.checked == tuple(map(subject_key, subjects[:2]))


def test_a_check_of_files_that_takes_too_long_is_left_to_the_trials_which_go_on_with_it(tmp_path: Path) -> None:
    images(tmp_path, cat=6, dog=6)
    subjects, times = [config(dataset=IMAGES | {"bad_files": "skip"})], itertools.count(0.0, 1.0)
    cut_short = examine(subjects, tmp_path, load_s=16.0, clock=lambda: next(times))  # a step each for key and content
    assert (cut_short.checked, cut_short.faults) == ((), ())
    assert len(list((tmp_path / ".checked").glob("*.part"))) == 1
    assert examine(subjects, tmp_path, load_s=16.0, clock=lambda: 0.0).checked == (subject_key(subjects[0]),)

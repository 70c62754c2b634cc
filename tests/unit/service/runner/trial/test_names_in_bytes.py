"""Tests of data sets with names that are not UTF-8: Python holds such bytes as lone surrogates, which no file takes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from service.runner.commits.attempt import Attempt
from service.runner.commits.reading import read_started
from service.runner.trial.common import line_writer
from service.storage import StageFolder
from tet_core.config import ImageFolder
from tet_core.data import load_dataset
from tet_core.inventory import inspect

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="its file system refuses such names")

CAFE = os.fsdecode(b"caf\xe9")


def pictures(root: Path) -> Path:
    for part, name in (("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")):
        (root / "pets" / part / name).mkdir(parents=True)
        for index in range(4):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(root / "pets" / part / name / f"{index}.png")
    return root / "pets"


def left_out_ending(root: Path) -> None:
    (pictures(root) / "train" / "cat" / os.fsdecode(b"x.jp\xe9")).write_bytes(b"x")


def folder_beside(root: Path) -> None:
    (pictures(root) / CAFE).mkdir()


def bad_file(root: Path) -> None:
    (pictures(root) / "train" / "cat" / f"{CAFE}.png").write_bytes(b"no image")


@pytest.mark.parametrize(
    ("make", "root", "words"),
    [
        (left_out_ending, "data", r"left out: 1 .jp\udce9"),
        (folder_beside, "data", r"folders beside train and test (caf\udce9)"),
        (bad_file, "data", r"skipped 1 bad files: train/cat/caf\udce9.png"),
        (pictures, CAFE, r"caf\udce9/pets, split given"),
    ],
)
def test_a_name_that_is_not_utf_8_is_escaped_in_the_record_and_the_log(
    tmp_path: Path, make: Callable[[Path], object], root: str, words: str
) -> None:
    data = tmp_path / root
    make(data)
    config = ImageFolder(folder="pets", num_classes=2, input_size=8, bad_files="skip", max_bad_share=0.1)
    facts = load_dataset(config, data).facts
    folder = StageFolder(tmp_path / "stage")
    attempt = Attempt(folder)
    rest = {"at_ms": 1, "resumed_epoch": 0, "initial_sha256": "", "environment": {}, "num_parameters": 1}
    attempt.write_started(dataset=facts, **rest)
    (started,) = read_started(folder)
    assert words in str(started.dataset["source"])
    line_writer("trial", folder.trial_log(1))(str(facts["source"]))
    assert words in folder.trial_log(1).read_text(encoding="utf-8")
    for note in inspect(config, data).notes:
        note.detail.encode()

"""Tests of what the API finds in the data set of a posted spec."""

from pathlib import Path

from service.api.experiments.inspecting import inspected
from service.settings import Settings
from service.spec.experiment import Experiment, parse


def spec(**dataset: object) -> Experiment:
    stage = {"kind": "train", "T": 2, "epochs": 1, "loss": {"name": "sdt"}}
    return parse(
        {
            "name": "pets",
            "dataset": {"name": "image_folder", "folder": "pets", "num_classes": 2, "input_size": 32, **dataset},
            "model": {"name": "vgg_small"},
            "arms": [{"name": "SDT", "stages": [stage]}],
            "seeds": [0],
            "validation": 0.5,
        }
    )


def settings(home: Path) -> Settings:
    return Settings.model_validate({"home": home, "data": home / "data"})


def test_faults_and_notes_name_the_field_and_its_value(tmp_path: Path) -> None:
    for name, number in (("cat", 4), ("dog", 2)):
        (tmp_path / "data" / "pets" / name).mkdir(parents=True)
        for index in range(number):
            (tmp_path / "data" / "pets" / name / f"{index}.png").write_bytes(b"content")
    (tmp_path / "data" / "pets" / "cat" / "notes.txt").write_bytes(b"content")
    (fault,) = inspected(settings(tmp_path), spec(folder="birds")).faults
    assert (fault.field, fault.value) == ("dataset.folder", "birds")
    (fault,) = inspected(settings(tmp_path), spec(num_classes=3)).faults
    assert (fault.field, fault.value) == ("dataset.num_classes", 3)
    found = inspected(settings(tmp_path), spec())
    assert found.faults == []
    assert [note.field for note in found.notes] == ["dataset.folder", "validation"]
    assert found.notes[0].detail.endswith("left out: 1 .txt")


def test_a_data_root_that_the_api_does_not_see_is_a_note(tmp_path: Path) -> None:
    found = inspected(settings(tmp_path), spec())
    assert found.faults == []
    assert "the API does not see the data root" in found.notes[0].detail


def test_a_scan_that_has_no_time_gives_a_note(tmp_path: Path) -> None:
    (tmp_path / "data" / "pets" / "cat").mkdir(parents=True)
    found = inspected(settings(tmp_path), spec(), scan_s=0.0)
    assert found.faults == []
    assert len(found.notes) == 1

"""Tests of the notes about entry points, with a package installed beside the API."""

from pathlib import Path
from typing import Any

import pytest

from service.api.experiments.entry_point_notes import entry_point_notes
from service.spec import parse
from tests.unit.service.spec.test_spec import spec

DATASET = {"name": "entry_point", "num_classes": 3, "in_channels": 1, "input_size": 8}


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "noted_lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noted-lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tet.models]\nmy_net = not_there:build\n[tet.datasets]\nmy_data = not_there:load\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def notes(**changes: Any) -> list[tuple[str, str]]:
    return [(each.field, each.detail) for each in entry_point_notes(parse(spec(**changes)))]


def test_entry_points_of_the_apis_environment_need_no_note() -> None:
    assert notes() == []
    model, dataset = {"name": "entry_point", "entry_point": "my_net"}, DATASET | {"entry_point": "my_data"}
    assert notes(model=model, dataset=dataset) == []


def test_a_misspelt_name_is_noted_with_the_one_that_is_meant() -> None:
    model, dataset = {"name": "entry_point", "entry_point": "my_nett"}, DATASET | {"entry_point": "mydata"}
    of_model, of_dataset = notes(model=model, dataset=dataset)
    assert of_model == (
        "model.entry_point",
        "'my_nett' is not in the API's own environment; the nodes may have it. Installed with the API under "
        "'tet.models': my_net; did you mean 'my_net'?",
    )
    assert of_dataset == (
        "dataset.entry_point",
        "'mydata' is not in the API's own environment; the nodes may have it. Installed with the API under "
        "'tet.datasets': my_data; did you mean 'my_data'?",
    )

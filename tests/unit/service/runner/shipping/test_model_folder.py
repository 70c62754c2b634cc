"""Tests of logged networks, loaded by MLflow in a process that has neither the service nor the training data."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.runner.shipping.model_folder import model_folder
from tests.unit.tet_core.test_trained import ROOT, as_people_have_them, config_of, write_data
from tet_core import load_dataset, train_epochs
from tet_core.checkpoint import save_checkpoint
from tet_core.train.epochs import Epoch

# A network of each kind: still images, events, and images of one's own.
KINDS = ("digits", "recordings", "saccades", "images")

# Loads each model and answers for its images; prints a JSON object of answers, and where tet_core comes from.
PROGRAM = """
import json, os, sys
import numpy as np, pandas as pd
import mlflow.pyfunc
answers = {}
for kind in sys.argv[1:]:
    given = json.load(open(kind + "/given.json")) if os.path.exists(kind + "/given.json") else None
    images = np.load(kind + "/given.npy") if given is None else given
    table = mlflow.pyfunc.load_model(kind + "/model").predict(images)
    assert list(table.columns) == ["class", "label", "probability"]
    assert table["probability"].between(0.1, 1).all()
    if given is not None:
        again = mlflow.pyfunc.load_model(kind + "/model").predict(pd.DataFrame({"path": given}))
        assert again.equals(table)
    answers[kind] = table["class"].tolist()
import tet_core
assert "service" not in sys.modules
print(json.dumps({"answers": answers, "tet_core": tet_core.__file__}))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Epoch, list[str]]]:
    """Train a network of each kind; return its last epoch, and the answers of the loaded model for the test samples."""
    home = tmp_path_factory.mktemp("logged")
    write_data(home / ROOT)
    epochs = {kind: _log(kind, home) for kind in KINDS}
    # Files that people classify may lie anywhere; the data root is not needed.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [sys.executable, "-W", "error::FutureWarning", "-c", PROGRAM, *KINDS]
    environment |= {"TET_DATA": str(home / "nowhere")}
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert not Path(result["tet_core"]).exists(), "the unpacked archive lasts as long as the process"
    assert Path(result["tet_core"]).parent.parent.name.startswith("tet_core-")
    return {kind: (epochs[kind], result["answers"][kind]) for kind in KINDS}


def _log(kind: str, home: Path) -> Epoch:
    config = config_of(kind)
    *_, last = train_epochs(config, data_root=home / ROOT)
    (home / kind).mkdir()
    save_checkpoint({**last.checkpoint(), "optimizer": {}}, home / kind / "model.pt")
    with model_folder(home / kind / "model.pt", run_id="0" * 32, model_id=f"m-{'0' * 32}") as folder:
        shutil.copytree(folder, home / kind / "model")
    given = as_people_have_them(kind, home)
    if isinstance(given, list):
        (home / kind / "given.json").write_text(json.dumps([str(file) for file in given]))
    else:
        np.save(home / kind / "given.npy", given)
    return last


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_gives_the_logged_test_accuracy_to_the_last_digit(
    kind: str, trained: dict[str, tuple[Epoch, list[str]]], tmp_path: Path
) -> None:
    last, answers = trained[kind]
    if kind in ("recordings", "images"):
        write_data(tmp_path)
    config = config_of(kind)
    dataset = load_dataset(config.dataset, tmp_path, T=config.T)
    assert dataset.classes is not None
    names = np.array([dataset.classes[label] for label in dataset.test.labels.tolist()])
    right = names == np.array(answers)
    assert right.mean() == last.metrics["test/accuracy"]
    assert right.tolist() == last.is_correct.tolist()


def test_a_folder_is_small_and_names_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"weights")
    with model_folder(tmp_path / "model.pt", run_id="1" * 32, model_id="m-1") as folder:
        files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
        assert files == {
            *("MLmodel", "model.pt", "python_env.yaml", "requirements.txt"),
            *("code/tet_core.zip", "code/tet_model_loader.py"),
        }
        assert (folder / "model.pt").read_bytes() == b"weights"
        needed = (folder / "requirements.txt").read_text().splitlines()
        assert {line.partition("==")[0] for line in needed} >= {"mlflow", "torch", "numpy", "pydantic"}
        first = (folder / "code" / "tet_core.zip").read_bytes()
    assert not folder.exists()
    with model_folder(tmp_path / "model.pt", run_id="2" * 32, model_id="m-2") as folder:
        assert (folder / "code" / "tet_core.zip").read_bytes() == first


@pytest.mark.slow
def test_making_a_folder_loads_no_torch(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"weights")
    program = (
        "import sys; from pathlib import Path; from service.runner.shipping.model_folder import model_folder\n"
        "with model_folder(Path(sys.argv[1]), run_id='1', model_id='m-1'):\n"
        "    print({'torch', 'mlflow.pyfunc'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model.pt")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "set()"

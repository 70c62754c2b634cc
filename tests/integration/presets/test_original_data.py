"""Tests that every full preset trains on data in its original format: small files, read by the real code."""

from pathlib import Path

import pytest

from service.presets.catalogue import MINI, presets
from service.spec.experiment import parse
from service.spec.resolving import resolve_stage
from tests.original_data import NUM_IMAGENET_CLASSES, write_all
from tet_core import train_epochs
from tet_core.config import TrainConfig

FULL = [name for name in presets() if not name.endswith(MINI)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write small data sets in their original formats; return their folder."""
    folder = tmp_path_factory.mktemp("data")
    write_all(folder)
    return folder


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_a_full_preset_trains_on_its_own_data(name: str, root: Path) -> None:
    changes: dict[str, object] = {"resources": {"gpus_per_trial": 0, "cpus_per_trial": 2}}
    if "imagenet" in name:
        changes["dataset"] = {"num_classes": NUM_IMAGENET_CLASSES}
    config = resolve_stage(parse(presets()[name].with_changes(changes)), 0, 0, seed=0)
    assert isinstance(config, TrainConfig)
    epochs = train_epochs(config, data_root=root)
    epoch = next(epochs)
    assert (epoch.number, epoch.epochs) == (1, config.epochs)
    assert 0 <= epoch.metrics["test/accuracy"] <= 1
    assert str(root) in str(epochs.start.dataset["source"])

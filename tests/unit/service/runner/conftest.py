from pathlib import Path

import pytest

from service.plan import Chain, plan
from service.spec import parse
from service.storage import ExperimentFolder
from tests.unit.service.spec.test_spec import spec, tet, train

ARMS = [
    {"name": "SDT", "stages": [train(epochs=3)]},
    {"name": "TIT", "stages": [train(T=2, epochs=2, loss=tet()), train(epochs=1, loss=tet())]},
]


@pytest.fixture
def chains() -> tuple[Chain, ...]:
    """Return SDT with a stage of three epochs, and TIT with stages of two and one."""
    return plan(parse(spec(arms=ARMS, seeds=[0])))


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentFolder:
    """Return an experiment's folder."""
    folder = ExperimentFolder(tmp_path, "0123")
    folder.path.mkdir(parents=True)
    return folder

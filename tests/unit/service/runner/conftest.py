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
    """Return the chain of SDT, with a stage of 3 epochs, and the chain of TIT, with stages of 2 epochs and 1 epoch."""
    return plan(parse(spec(arms=ARMS, seeds=[0])))


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentFolder:
    """Make and return an experiment's folder."""
    folder = ExperimentFolder(tmp_path, "0123")
    folder.path.mkdir(parents=True)
    return folder

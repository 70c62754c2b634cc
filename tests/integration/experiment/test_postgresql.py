"""A test of the main job with the service's state in PostgreSQL."""

from pathlib import Path

import pytest

from tests.integration.experiment.conftest import SPEC, run_to_end
from tests.local_stack import END_S, local_stack
from tests.postgres import Server

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(4 * END_S)]


def test_an_experiment_runs_with_its_state_in_postgresql(postgres: Server, tmp_path: Path) -> None:
    spec = SPEC | {"seeds": [0, 1], "arms": [SPEC["arms"][0], SPEC["arms"][2]]}
    with (
        postgres.database("experiment") as url,
        local_stack(tmp_path / "home", TET_DATABASE_URL=url) as stack,
    ):
        done = run_to_end(stack, stack.post(spec).json()["id"])
        assert done.view["progress"].items() >= {"stages_done": 6, "stages_total": 6}.items()
        compared = stack.get(f"/experiments/{done.id}/comparison")
        assert [(arm["name"], arm["n"]) for arm in compared["arms"]] == [("SDT", 2), ("TIT", 2)]
        assert len(done.runs()) == 10
    assert not (tmp_path / "home" / "tet.db").exists()

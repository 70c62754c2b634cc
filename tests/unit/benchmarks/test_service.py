"""Tests of the parts of `make bench-service` that its figures depend on."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.bounds import Bound, percentile
from benchmarks.service.cluster.ours import spec_of
from benchmarks.service.cluster.trainables import ReportTrial
from benchmarks.service.measured import Measured
from service.plan import plan
from service.runner.commits.reading import read_progress
from service.states import WorkState
from service.storage import StageFolder


def test_a_trial_that_only_reports_leaves_the_commits_and_the_marker_of_a_training(tmp_path: Path) -> None:
    config = {"stage_path": str(tmp_path / "0"), "generation": 1, "config": {"epochs": 2}}
    trial = ReportTrial(config)
    assert [trial.step()["end"] for _ in range(3)] == [None, None, "succeeded"]
    progress = read_progress(StageFolder(tmp_path / "0"))
    assert progress.done is not None
    assert progress.done.state is WorkState.SUCCEEDED
    assert [commit.epoch for commit in progress.commits] == [1, 2]


def test_the_trainables_import_no_torch() -> None:
    code = "import sys, benchmarks.service.cluster.trainables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_experiment_has_two_stages_in_each_chain() -> None:
    chains = plan(spec_of(10, reuse=True))
    assert len(chains) == 10
    assert {len(chain.stages) for chain in chains} == {2}


def test_growth_is_the_memory_that_each_ended_trial_adds_without_the_first_trials() -> None:
    # Each ended trial adds 1,000 bytes. The first ten trials add much more.
    times = [float(second) for second in range(30)]
    measured = Measured(0.0, times=times, uss_bytes=[1_000_000 + 1_000 * int(second) for second in times])
    measured.uss_bytes[:5] = [0] * 5
    assert measured.growth_bytes([second + 0.5 for second in times], first=10) == pytest.approx(1_000)


def test_the_99th_percentile_is_the_value_that_one_in_a_hundred_exceeds() -> None:
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile(range(1, 101), 0.5) == 50
    assert percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(("value", "holds"), [(0.2, True), (0.21, False)])
def test_a_bound_holds_up_to_its_limit(value: float, holds: bool) -> None:
    assert Bound("overhead", value, "s", 0.2).holds is holds

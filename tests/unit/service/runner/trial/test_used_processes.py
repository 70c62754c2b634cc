"""Tests of stages that run in the process of an earlier stage: they find it as in a new process."""

import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from service.runner.trial import process_state
from service.runner.trial.process_state import ProcessState
from service.runner.trial.trainable import StageTrial
from service.storage import StageFolder
from tests.unit.service.runner.trial.test_trainable import config, run, series
from tet_core.data.loader import DECODING_THREADS


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Leave this process as it was."""
    state = ProcessState()
    yield
    state.restore()


def _float64() -> None:
    torch.set_default_dtype(torch.float64)


def _no_gradients() -> None:
    torch.set_grad_enabled(False)


def _generators() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)


def _threads() -> None:
    torch.set_num_threads(3)


def _deterministic() -> None:
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = True


def _variables() -> None:
    os.environ["TET_KERNEL"] = "eager"
    del os.environ["PATH"]
    os.environ["HOME"] = "/nowhere"


CHANGES = [_float64, _no_gradients, _generators, _threads, _deterministic, _variables]


def _seen() -> list[Any]:
    """Return all that a stage may find changed, with random numbers as the next stage would draw them."""
    state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    drawn = torch.rand(1).item(), np.random.random(), random.random()
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    random.setstate(state[2])
    settings = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
    flags = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    return [drawn, settings, flags, dict(os.environ)]


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_stage_changes_is_put_back(change: Any) -> None:
    state, before = ProcessState(), _seen()
    change()
    assert _seen() != before
    state.restore()
    assert _seen() == before


def test_a_stage_in_a_used_process_has_the_bits_of_one_in_a_new_process(tmp_path: Path) -> None:
    alone, first, second = (StageFolder(tmp_path / name) for name in ("alone", "first", "second"))
    run(StageTrial(config(alone.path, seed=5, train={"seed": 5, "T": 2})))
    trial = StageTrial(config(first.path))
    run(trial, steps=3)
    for change in CHANGES:
        change()
    run(trial)
    assert trial.reset_config(config(second.path, seed=5, train={"seed": 5, "T": 2}))
    assert run(trial)[-1]["end"] == "succeeded"
    assert series(second) == series(alone)


def test_a_stage_that_was_ended_leaves_nothing_to_the_next_one(tmp_path: Path) -> None:
    alone, first, second = (StageFolder(tmp_path / name) for name in ("alone", "first", "second"))
    run(StageTrial(config(alone.path)))
    trial = StageTrial(config(first.path))
    run(trial, steps=1)  # a search ends it here
    trial.reset_config(config(second.path))
    run(trial)
    assert series(second) == series(alone)


def test_rays_log_and_the_repr_name_the_stage_that_runs_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = StageTrial(config(tmp_path / "first"))
    trial.reset_config(config(tmp_path / "second", label="TIT · seed 4 · stage 2 of 2 · T=6"))
    assert repr(trial) == "TIT · seed 4 · stage 2 of 2 · T=6"
    assert capsys.readouterr().out == ":actor_name:TIT · seed 4 · stage 2 of 2 · T=6\n"


def test_a_process_whose_stage_left_threads_is_worn(tmp_path: Path) -> None:
    trial, end = StageTrial(config(tmp_path / "0")), threading.Event()
    reports = run(trial, steps=3)
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        reports = run(trial)
    finally:
        end.set()
        thread.join()
    assert (reports[-1]["end"], reports[-1]["wear"]) == ("succeeded", "1 threads have not ended")


def test_a_process_that_holds_too_much_memory_is_worn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_state, "MAX_GROWTH_MB", 50)
    state = ProcessState()
    assert state.wear_after_stage() is None
    held = bytearray(os.urandom(100)) * 1_000_000
    found = state.wear()
    assert found is not None
    assert found.startswith("it holds ")
    del held
    assert state.wear() is None


def test_a_process_that_has_run_for_long_is_worn(monkeypatch: pytest.MonkeyPatch) -> None:
    state = ProcessState()
    assert state.wear() is None
    monkeypatch.setattr(process_state, "MAX_AGE_S", -1.0)
    assert state.wear() == "it has run for 0 s"


def test_threads_that_decode_images_for_all_stages_wear_no_process() -> None:
    state = ProcessState()
    with ThreadPoolExecutor(1, thread_name_prefix=DECODING_THREADS) as pool:
        pool.submit(int).result()
        assert state.wear() is None
    with ThreadPoolExecutor(1, thread_name_prefix="of a user") as pool:
        pool.submit(int).result()
        assert state.wear() == "1 threads have not ended"


def test_every_report_says_whether_the_process_is_worn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = StageTrial(config(tmp_path / "0"))
    assert trial.step()["wear"] is None
    monkeypatch.setattr(process_state, "MAX_AGE_S", -1.0)
    assert str(trial.step()["wear"]).startswith("it has run for ")

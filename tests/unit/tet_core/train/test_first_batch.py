"""Tests of one batch that shows whether a stage can run."""

import pytest
import torch

from tet_core import Dataset, load_dataset
from tet_core.config import TrainConfig
from tet_core.data import Split
from tet_core.errors import ConfigError
from tet_core.train.first_batch import check_samples, try_batch

DIGITS = {"dataset": {"name": "digits"}, "model": {"name": "vgg_small", "width": 2}, "T": 2, "epochs": 1}


def config(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate(DIGITS | {"loss": {"name": "tet"}} | changes)


@pytest.mark.parametrize("with_data", [True, False])
@pytest.mark.parametrize("size", [1, 500])
def test_a_batch_leaves_random_draws_and_threads_as_they_are(with_data: bool, size: int) -> None:
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    try_batch(config(), load_dataset("digits") if with_data else None, size)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_recordings_may_be_cut_into_more_frames() -> None:
    frames = Split(torch.ones((6, 3, 2, 8, 8), dtype=torch.int16), torch.arange(6) % 2)
    dataset = Dataset("events", 2, 2, 8, (0.0, 0.0), (1.0, 1.0), frames, frames, "made up", T=3)
    events = {"name": "event_folder", "folder": "events", "num_classes": 2, "input_size": 8}
    try_batch(config(dataset=events, T=2), dataset, 2)


def test_a_model_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="input_size is 8; "):
        try_batch(config(model={"name": "vggsnn"}), None, 2)


def test_a_split_that_leaves_no_sample_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"validation is 0\.0001; "):
        check_samples(config(validation=0.0001), load_dataset("digits"))

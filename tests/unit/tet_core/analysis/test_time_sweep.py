"""Tests of the time sweep, which evaluates a trained network with other numbers of time steps."""

import torch

from tests.unit.tet_core.analysis.training_once import trained
from tet_core import analyse, load_dataset
from tet_core.config import TimeSweep, TrainConfig
from tet_core.measure.evaluation import measure
from tet_core.network import build_network


def test_at_the_trained_T_a_sweep_equals_the_checkpoint_to_the_last_digit() -> None:
    (row,) = analyse(trained(), TimeSweep(T=(2,)))
    for key in ("loss", "loss_sdt", "loss_tet", "accuracy"):
        assert row.metrics[f"time_sweep/{key}"] == trained()["metrics"][f"test/{key}"]
        assert row.records[0][key] == trained()["metrics"][f"test/{key}"]


def test_each_T_is_measured_with_the_same_weights() -> None:
    rows = list(analyse(trained(), TimeSweep(T=(5, 1, 3))))
    assert [(row.number, row.step) for row in rows] == [(1, 5), (2, 1), (3, 3)]
    config = TrainConfig.model_validate(trained()["config"])
    model = build_network(config)
    model.load_state_dict(trained()["model"])
    dataset = load_dataset("digits")
    for row in rows:
        found = measure(model, dataset, dataset.test, config.model_copy(update={"T": row.step}))
        assert row.records == [{"T": row.step, "trained_T": 2} | found]
    assert len({row.metrics["time_sweep/loss_sdt"] for row in rows}) == 3


def test_a_resumed_sweep_gives_the_missing_rows() -> None:
    sweep = TimeSweep(T=(1, 2, 3))
    whole, rest = list(analyse(trained(), sweep)), list(analyse(trained(), sweep, done=1))
    assert [row.records for row in rest] == [row.records for row in whole[1:]]
    assert [row.number for row in rest] == [2, 3]


def test_between_rows_torch_has_the_callers_number_of_threads() -> None:
    before = torch.get_num_threads()
    for _ in analyse(trained(), TimeSweep(T=(1, 2))):
        assert torch.get_num_threads() == before

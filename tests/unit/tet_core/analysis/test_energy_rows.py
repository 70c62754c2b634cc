"""Tests of the energy analysis: a network's operations for an image, and the estimated energy."""

from typing import Any

import pytest
import torch

from tests.unit.tet_core.analysis.training_once import trained
from tests.unit.tet_core.stages import make_config
from tet_core import analyse, fit
from tet_core.config import ENERGY_TABLES, Energy
from tet_core.measure.energy import layer_record
from tet_core.measure.operations import LayerTally

PRICES = ENERGY_TABLES["horowitz-2014-45nm"]


def silent() -> dict[str, Any]:
    """Return the checkpoint of a network that never fires, because its norms give 0."""
    weights = {
        name: torch.zeros_like(tensor) if ".norm." in name and name.endswith(("weight", "bias")) else tensor
        for name, tensor in trained()["model"].items()
    }
    return trained() | {"model": weights}


def test_a_network_that_never_fires_costs_only_its_stem() -> None:
    (row,) = analyse(silent(), Energy())
    stem = 9 * 4 * 64  # 3x3 kernels, one channel to four, 8x8 pixels; computed once, because the image is static
    assert row.metrics["energy/multiplications"] == stem
    assert row.metrics["energy/additions"] == row.metrics["energy/firing_rate"] == 0
    for key in ("energy/uj_per_image", "energy/uj_per_image_paper"):
        assert row.metrics[key] == pytest.approx(stem * 4.6e-6, rel=1e-15)
    assert [record["energy_uj"] for record in row.records if record["kind"] != "neuron"][1:] == [0.0] * 4


def test_the_totals_are_the_sums_of_the_layers() -> None:
    (row,) = analyse(trained(), Energy())
    layers = [record for record in row.records if record["kind"] != "neuron"]
    assert [record["kind"] for record in layers] == ["conv"] * 4 + ["linear"]
    for metric, key in (("additions", "additions"), ("uj_per_image", "energy_uj")):
        assert row.metrics[f"energy/{metric}"] == sum(float(record[key] or 0) for record in layers)
    assert row.metrics["energy/accuracy"] == trained()["metrics"]["test/accuracy"]
    assert 0 < row.metrics["energy/firing_rate"] < 1


def test_only_layers_whose_inputs_are_spikes_add() -> None:
    (row,) = analyse(trained(), Energy())
    layers = [record for record in row.records if record["kind"] != "neuron"]
    # The inputs of the stem are pixels; those of the third convolution and of the head come from an average pool.
    assert [record["only_adds"] for record in layers] == [False, True, False, True, False]
    assert [record["is_stem"] for record in layers] == [True, False, False, False, False]
    assert [record["steps"] for record in layers] == [1, 2, 2, 2, 2]
    for record in layers:
        assert (record["additions"] == 0) != (record["multiplications"] == 0)


def test_the_papers_total_counts_additions_in_all_layers_except_the_stem() -> None:
    (row,) = analyse(trained(), Energy())
    stem, *others = (record for record in row.records if record["kind"] != "neuron")
    executed = [float(r["additions"] or 0) + float(r["multiplications"] or 0) for r in others]
    expected = float(stem["multiplications"] or 0) * 4.6e-6 + sum(executed) * 0.9e-6
    assert row.metrics["energy/uj_per_image_paper"] == pytest.approx(expected, rel=1e-12)
    assert row.metrics["energy/uj_per_image_paper"] < row.metrics["energy/uj_per_image"]


def test_the_record_of_a_layer_counts_the_operations_of_one_image() -> None:
    tally = LayerTally("conv", "conv", False, operations=1000, passes=20, num_inputs=400, num_nonzero=100)
    record = layer_record(tally, num_images=5, prices=PRICES, T=4)
    assert (record["steps"], record["rate"], record["additions"]) == (4.0, 0.25, 1000.0)
    assert record["energy_uj"] == pytest.approx(1000 * 0.9e-6)
    tally.is_binary = False
    record = layer_record(tally, num_images=5, prices=PRICES, T=4)
    assert (record["additions"], record["multiplications"]) == (0.0, 1000.0)
    assert record["energy_uj"] == pytest.approx(1000 * 4.6e-6)
    assert record["energy_uj_paper"] == pytest.approx(1000 * 0.9e-6)


def test_an_ann_multiplies_in_every_layer_for_any_input() -> None:
    checkpoint = fit(make_config(T=1, epochs=1, neuron={"name": "relu"}, loss={"name": "sdt"})).checkpoint
    (row,) = analyse(checkpoint, Energy(num_samples=20))
    layers = [record for record in row.records if record["kind"] != "neuron"]
    assert row.metrics["energy/additions"] == 0
    assert row.metrics["energy/multiplications"] == sum(int(r["operations_per_step"] or 0) for r in layers)
    assert row.metrics["energy/uj_per_image"] == row.metrics["energy/uj_per_image_paper"]


def test_each_requested_T_is_a_row_and_a_larger_T_costs_more() -> None:
    rows = list(analyse(trained(), Energy(T=(1, 2, 4), num_samples=100)))
    assert [row.step for row in rows] == [1, 2, 4]
    additions = [row.metrics["energy/additions"] for row in rows]
    assert additions == sorted(additions)
    assert {record["T"] for record in rows[2].records} == {4}


def test_an_analysis_leaves_no_hooks_and_no_changed_weights() -> None:
    rows = analyse(trained(), Energy(T=(1, 2), num_samples=10))
    first, second = next(rows), next(rows)
    assert first.records != second.records
    assert rows.start.initial_sha256 == analyse(trained(), Energy()).start.initial_sha256


def test_the_prices_of_a_table_never_change() -> None:
    assert {name: (t.addition_pj, t.multiplication_pj) for name, t in ENERGY_TABLES.items()} == {
        "horowitz-2014-45nm": (0.9, 4.6)
    }

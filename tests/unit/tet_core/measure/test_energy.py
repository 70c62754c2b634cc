"""Tests of the energy of an image, estimated on validation samples after every epoch."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.unit.tet_core.stages import make_config
from tests.unit.tet_core.train.test_epochs import series
from tet_core import environment, train_epochs
from tet_core.analysis.energy_rows import energy_rows
from tet_core.analysis.subject import Subject
from tet_core.config import Energy, TrainConfig
from tet_core.data import Dataset, load_dataset
from tet_core.data.loader import split_validation
from tet_core.errors import ConfigError
from tet_core.measure.energy import NUM_SAMPLES, VAL_ENERGY_J, energy_j, evenly_spaced
from tet_core.train.epochs import Epoch

NEURONS: tuple[dict[str, Any], ...] = ({}, {"neuron": {"name": "relu"}, "T": 1, "loss": {"name": "sdt"}})


def validation_as_test(config: TrainConfig) -> Dataset:
    """Return the data set with the counted samples of the validation set as its test set."""
    dataset = load_dataset(config.dataset)
    _, validation = split_validation(dataset.train.labels, config.validation, config.seed)
    return replace(dataset, test=dataset.train.subset(validation[evenly_spaced(len(validation))]))


def energies(epochs: list[Epoch]) -> list[float]:
    return [epoch.metrics[VAL_ENERGY_J] for epoch in epochs]


@pytest.mark.parametrize("changes", NEURONS, ids=["LIF", "ReLU"])
@pytest.mark.parametrize("validation", [0.1, 0.3])
def test_the_estimate_is_the_analysis_of_validation_samples(
    validation: float, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(validation=validation, **changes)
    *_, last = train_epochs(config, with_energy=True)
    dataset = validation_as_test(config)
    assert len(dataset.test) == (NUM_SAMPLES if validation == 0.3 else 143)
    subject = Subject(last.checkpoint(), None)
    monkeypatch.setattr(subject, "dataset", lambda T: dataset)
    with environment.applied(subject.config):
        (row,) = energy_rows(subject, Energy())
    assert last.metrics[VAL_ENERGY_J] == pytest.approx(row.metrics["energy/uj_per_image"] * 1e-6, rel=1e-12)
    assert 0 < last.metrics[VAL_ENERGY_J] < 1e-3


@pytest.mark.parametrize("total", [1, 10, 255, 256, 257, 511, 50_000])
def test_counted_samples_are_evenly_spaced_over_all(total: int) -> None:
    found = evenly_spaced(total).tolist()
    assert (len(found), found[0]) == (min(total, NUM_SAMPLES), 0)
    assert len(set(found)) == len(found)
    assert total - 1 - total // NUM_SAMPLES <= found[-1] < total


def test_the_estimate_does_not_change_the_training() -> None:
    config = make_config(validation=0.1)
    asked, unasked = list(train_epochs(config, with_energy=True)), list(train_epochs(config))
    assert all(VAL_ENERGY_J not in epoch.metrics for epoch in unasked)
    without = [
        (sha256, {key: value for key, value in metrics.items() if key != VAL_ENERGY_J})
        for sha256, metrics in series(asked)
    ]
    assert without == series(unasked)


def test_the_estimate_is_the_same_each_time_and_after_a_resumption() -> None:
    config = make_config(validation=0.1, epochs=3)
    whole = list(train_epochs(config, with_energy=True))
    assert energies(list(train_epochs(config, with_energy=True))) == energies(whole)
    resumed = list(train_epochs(config, with_energy=True, resume=whole[0].checkpoint()))
    assert energies(resumed) == energies(whole)[1:]
    assert len(set(energies(whole))) == 3


def test_without_a_validation_set_the_estimate_is_refused() -> None:
    with pytest.raises(ConfigError, match="validation is 0; it must be above 0 if with_energy is True"):
        train_epochs(make_config(), with_energy=True)


def test_a_network_that_fires_less_costs_less_and_no_hook_stays() -> None:
    config = make_config(validation=0.3)
    *_, last = train_epochs(config)
    subject, dataset = Subject(last.checkpoint(), None), validation_as_test(config)
    with environment.applied(subject.config):
        before = energy_j(subject.model, dataset, dataset.test, subject.config)
        for name, parameter in subject.model.named_parameters():
            if ".norm." in name:
                torch.nn.init.zeros_(parameter)
        after = energy_j(subject.model, dataset, dataset.test, subject.config)
    assert after < before
    assert not any(module._forward_hooks for module in subject.model.modules())

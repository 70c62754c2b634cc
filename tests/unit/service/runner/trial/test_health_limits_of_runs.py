"""Tests of the default health limits: they stop none of 20 different healthy trainings."""

from dataclasses import asdict
from typing import Any

import pytest

from service.runner.commits.records import Commit, Layer
from service.runner.trial import health_limits
from service.spec.blocks import HealthLimits
from tests.unit.tet_core.stages import make_config
from tet_core import train_epochs
from tet_core.train.epochs import Epoch

LIMITS = HealthLimits()
NUM_EPOCHS = 9
SDT, TET = {"name": "sdt"}, {"name": "tet", "lamb": 0.05, "phi": 1.0}
SGD = {"name": "sgd", "lr": 0.05}
LAYERS = [
    {"kind": "conv", "channels": 8},
    {"kind": "pool"},
    {"kind": "residual", "layers": [{"kind": "conv", "channels": 8}]},
    {"kind": "linear", "features": 32},
]
LARGE = {"dataset": {"name": "digits", "input_size": 16}}
# 20 trainings. The other settings are those of a small network (width 4, T = 2) with the paper's neuron and optimiser.
RUNS: tuple[dict[str, Any], ...] = (
    *({"loss": loss, "seed": seed} for loss in (SDT, TET) for seed in (0, 1, 2)),
    {"loss": SDT, "T": 1},
    {"loss": TET, "T": 6},
    {"loss": {"name": "tet", "lamb": 0.5, "phi": 0.5}},
    {"loss": TET, "model": {"name": "vgg_small", "width": 16}},
    {"loss": SDT, "model": {"name": "vgg_small", "width": 8, "norm": {"name": "bn"}}, "optimizer": SGD},
    {"loss": TET, "model": {"name": "cnn5", "width": 8, "norm": {"name": "tebn"}}},
    {"loss": TET, "model": {"name": "vggsnn", "width": 4}, **LARGE},
    {"loss": TET, "model": {"name": "resnet19", "width": 16}},
    {"loss": TET, "model": {"name": "sew_resnet34", "width": 8}, **LARGE},
    {"loss": SDT, "model": {"name": "layers", "layers": LAYERS}},
    {"loss": TET, "neuron": {"name": "if"}, "surrogate": {"name": "arctan"}},
    {"loss": SDT, "neuron": {"name": "lif", "tau": 0.9, "reset": "soft"}, "surrogate": {"name": "rectangular"}},
    {"loss": TET, "neuron": {"name": "lif", "learnable_tau": True, "learnable_threshold": True}},
    {"loss": TET, "surrogate": {"name": "sigmoid_forward", "k": 4.0}, "precision": "bfloat16", "optimizer": SGD},
)


def commit(epoch: Epoch) -> Commit:
    layers = {name: Layer(**asdict(layer)) for name, layer in epoch.layers.items()}
    return Commit(
        epoch=epoch.number,
        epochs=epoch.epochs,
        attempt=1,
        at_ms=0,
        metrics=epoch.metrics,
        checkpoint="",
        weights_sha256="",
        layers=layers,
    )


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(RUNS)))
def test_a_healthy_training_is_not_stopped(number: int) -> None:
    config = make_config(epochs=NUM_EPOCHS, **RUNS[number])
    epochs = train_epochs(config, with_layers=True)
    commits: list[Commit] = []
    for epoch in epochs:
        commits.append(commit(epoch))
        assert health_limits.unhealthy_layer(commits, LIMITS) is None
    accuracies = [each.metrics["train/accuracy"] for each in commits]
    assert accuracies[-1] > max(0.12, accuracies[0]), "the training is not healthy"


def test_there_are_twenty_trainings() -> None:
    assert len(RUNS) == 20

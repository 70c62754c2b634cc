"""Folding (Eq. 6) on every model after real training: spikes and accuracy before and after.

    python -m benchmarks.checks.folding

In float64 every spike must be the same, and outputs must agree within 1e-9. In float32 at most one spike in 1,000 may
differ, and the test accuracy may change by at most 0.1 point.
"""

import sys
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.results_file import write
from tet_core import TrainConfig, fit, load_dataset
from tet_core.fold import fold_batchnorm
from tet_core.measure.evaluation import num_correct
from tet_core.network import build_network
from tet_core.neuron import Neuron
from tet_core.static import repeat_over_time

T, EPOCHS = 4, 6
MODELS: tuple[dict[str, Any], ...] = (
    {"name": "vgg_small", "width": 16},
    {"name": "vgg_small", "width": 16, "norm": {"name": "tebn"}},
    {"name": "cnn5", "width": 8},
    {"name": "vggsnn", "width": 8},
    {"name": "vggsnn", "width": 8, "downsample": "stride"},
    {"name": "resnet19", "width": 8, "stem": 8},
    {"name": "spiking_resnet34", "width": 4},
    {"name": "sew_resnet34", "width": 4},
)

# Settings with which the deep and narrow networks learn in a few epochs.
SETTINGS: dict[str, dict[str, Any]] = {
    "sew_resnet34": {"neuron": {"name": "if"}},
    "spiking_resnet34": {"neuron": {"name": "lif", "v_threshold": 0.25}, "surrogate": {"name": "arctan"}},
}


@torch.no_grad()
def observed(model: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the spikes of every layer of neurons, and the outputs."""
    spikes: list[Tensor] = []
    neurons = [module for module in model.modules() if isinstance(module, Neuron)]
    hooks = [module.register_forward_hook(lambda _module, _args, out: spikes.append(out)) for module in neurons]
    outputs = model(repeat_over_time(images, T))
    for hook in hooks:
        hook.remove()
    return spikes, outputs


def compared(model: dict[str, Any], precision: str) -> dict[str, Any]:
    """Return the comparison of one model, trained on digits, before and after folding."""
    raw = {
        "dataset": {"name": "digits", "input_size": 16},
        "model": model,
        "T": T,
        "epochs": EPOCHS,
        "batch_size": 32,
        "loss": {"name": "tet"},
        "precision": precision,
        "optimizer": {"name": "adam", "lr": 0.003},
        **SETTINGS.get(model["name"], {}),
    }
    config = TrainConfig.model_validate(raw)
    network = build_network(config)
    network.load_state_dict(fit(config).checkpoint["model"])
    test = load_dataset(config.dataset).test
    dtype = next(network.parameters()).dtype
    images = load_dataset(config.dataset).normalise(test.take(torch.arange(len(test))), dtype)
    before, outputs = observed(network.eval(), images)
    after, folded = observed(fold_batchnorm(network), images)
    return {
        "model": " ".join(str(value["name"] if isinstance(value, dict) else value) for value in model.values()),
        "precision": precision,
        "test_accuracy": int(num_correct(outputs, test.labels)) / len(test),
        "test_accuracy_folded": int(num_correct(folded, test.labels)) / len(test),
        "outputs_of_neurons": sum(spikes.numel() for spikes in before),
        "that_differ": sum(int((a != b).sum()) for a, b in zip(before, after, strict=True)),
        "largest_difference_of_outputs": float((outputs - folded).abs().max()),
    }


def holds(row: dict[str, Any]) -> bool:
    """Return whether a row is within its limits."""
    if row["precision"] == "float64":
        return bool(row["that_differ"] == 0 and row["largest_difference_of_outputs"] <= 1e-9)
    moved = abs(row["test_accuracy"] - row["test_accuracy_folded"])
    return bool(row["that_differ"] <= row["outputs_of_neurons"] / 1_000 and moved <= 0.001)


def main() -> int:
    """Train and compare every model; return the exit status."""
    rows = []
    for precision in ("float64", "float32"):
        for model in MODELS:
            rows.append(compared(model, precision))
            print("ok" if holds(rows[-1]) else "FAILED", *rows[-1].values(), flush=True)
    write("folding", ("torch",), {"T": T, "epochs": EPOCHS, "dataset": "digits, 16x16", "rows": rows})
    return 0 if all(map(holds, rows)) else 1


if __name__ == "__main__":
    sys.exit(main())

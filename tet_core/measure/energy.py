"""An estimate of the energy that a network uses for an image, from its operations.

For every convolution and linear layer, with `operations` at each step, `passes` steps and the share `rate` of inputs
that are not 0:

    stem:   operations * passes         multiplications, whatever the pixels are
    others: operations * passes * rate  additions if every input was 0 or 1, else multiplications
    ANN:    operations * passes         multiplications, in every layer: hardware for ANNs skips no zeros
    energy = additions * addition_pj + multiplications * multiplication_pj

The estimate leaves out memory, the neurons themselves and all control logic, and the prices are those of one
manufacturing process. Compare methods by the ratio of their estimates.

Source: Deng et al., ICLR 2022, section 5.2; prices: `tet_core.config.ENERGY_TABLES`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tet_core.config import ENERGY_TABLES, Energy, EnergyTable, ReluConfig, TrainConfig
from tet_core.data import Dataset, Samples
from tet_core.measure.evaluation import measure
from tet_core.measure.operations import LayerTally, tallied

_UJ = 1e-6  # µJ in a pJ
_J = 1e-6  # J in a µJ
# The name of the estimate among the metrics of an epoch.
VAL_ENERGY_J = "val/energy_j"
# How many samples of a split are counted. On digits the mean over 256 samples differs from that over all by 0.2 to
# 0.4 % (one standard deviation over draws of 256).
NUM_SAMPLES = 256


def energy_j(
    model: nn.Module, dataset: Dataset, split: Samples, config: TrainConfig, on_step: Callable[[], None] | None = None
) -> float:
    """Return the estimated energy of an image, in J, from 256 samples of a split, as `uj_per_image` in the analysis.

    Args:
        model: The network; it is left in evaluation mode.
        dataset: The data set that the split belongs to.
        split: The samples, on the model's device. If there are more than 256, the counted ones are evenly spaced,
            because many data sets are in the order of their classes.
        config: T, the neuron and the precision.
        on_step: Called after every batch. If it raises an error, the counting stops with that error.
    """
    samples = split.subset(evenly_spaced(len(split)).to(split.labels.device))
    with tallied(model) as tallies:
        measure(model, dataset, samples, config, on_step)
    prices, is_ann = ENERGY_TABLES[Energy().table], isinstance(config.neuron, ReluConfig)
    records = (layer_record(tally, len(samples), prices, config.T, is_ann=is_ann) for tally in tallies.layers)
    return _J * sum(float(record["energy_uj"] or 0) for record in records)


def evenly_spaced(total: int) -> Tensor:
    """Return the indices `[M]`, int64, of the samples to count among `total`: evenly spaced, from the first one."""
    count = min(NUM_SAMPLES, total)
    return torch.arange(count) * total // count


def layer_record(
    tally: LayerTally, num_images: int, prices: EnergyTable, T: int, *, is_ann: bool = False
) -> dict[str, str | int | float | bool | None]:
    """Return a layer's line of the table; all counts are for one image, over all its steps.

    Args:
        tally: The counts of the layer.
        num_images: How many images were counted.
        prices: Energy of one operation, in pJ.
        T: Number of time steps that each image was shown for.
        is_ann: Whether the network is an ANN, whose neurons do not fire.
    """
    passes = tally.passes / num_images
    multiplies = tally.is_stem or is_ann
    executed = tally.operations * passes * (1.0 if multiplies else tally.input_rate)
    only_adds = tally.is_binary and not multiplies
    additions, multiplications = (executed, 0.0) if only_adds else (0.0, executed)
    return {
        "T": T,
        "layer": tally.name,
        "kind": tally.kind,
        "is_stem": tally.is_stem,
        "only_adds": only_adds,
        "operations_per_step": tally.operations,
        "steps": passes,
        "rate": tally.input_rate,
        "additions": additions,
        "multiplications": multiplications,
        "energy_uj": _uj(prices, additions, multiplications),
        "energy_uj_paper": _uj(prices, 0.0, executed) if multiplies else _uj(prices, executed, 0.0),
    }


def _uj(prices: EnergyTable, additions: float, multiplications: float) -> float:
    return _UJ * (additions * prices.addition_pj + multiplications * prices.multiplication_pj)

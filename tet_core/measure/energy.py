"""What a network computes for an image, and from it an estimate of the energy that this takes.

For every convolution and linear layer, with `operations` a step, `passes` steps and the share `rate` of inputs that
are not 0:

    stem:   operations * passes         multiplications, whatever the pixels are
    others: operations * passes * rate  additions if every input was 0 or 1, else multiplications
    ANN:    operations * passes         multiplications, in every layer: hardware for ANNs skips no zeros
    energy = additions * addition_pj + multiplications * multiplication_pj

It is an estimate: memory, the neurons themselves and all control are left out, and the prices are those of one
process. Compare methods by their ratio.

Source: Deng et al., ICLR 2022, section 5.2; prices: `tet_core.config.ENERGY_TABLES`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tet_core.config import ENERGY_TABLES, Energy, EnergyTable, ReluConfig, TrainConfig
from tet_core.data import Dataset, Samples
from tet_core.measure.evaluation import measure
from tet_core.measure.operations import LayerTally, tallied

_UJ = 1e-6  # of a pJ
_J = 1e-6  # of a uJ
# What the estimate is called among the metrics of an epoch.
VAL_ENERGY_J = "val/energy_j"
# Of a split's samples so many are counted: on digits, means over other ones of so many differ by 0.2 to 0.4 % (one
# standard deviation) from that over all.
NUM_SAMPLES = 256


def energy_j(
    model: nn.Module, dataset: Dataset, split: Samples, config: TrainConfig, on_step: Callable[[], None] | None = None
) -> float:
    """Estimate the energy for an image, in J, on 256 samples of a split: `uj_per_image` of the analysis on them.

    Args:
        model: The network; it is left in evaluation mode.
        dataset: For the normalisation.
        split: What to count on, on the model's device: samples in even distances, since many data sets are in the order
            of their classes; all of them where there are fewer.
        config: T, the neuron and the precision.
        on_step: Called after every batch. If it raises, the counting ends there.
    """
    samples = split.subset(evenly_spaced(len(split)).to(split.labels.device))
    with tallied(model) as tallies:
        measure(model, dataset, samples, config, on_step)
    prices, is_ann = ENERGY_TABLES[Energy().table], isinstance(config.neuron, ReluConfig)
    records = (layer_record(tally, len(samples), prices, config.T, is_ann=is_ann) for tally in tallies.layers)
    return _J * sum(float(record["energy_uj"] or 0) for record in records)


def evenly_spaced(num_there: int) -> Tensor:
    """Which of so many samples are counted, `[M]`, int64: from the first on, in even distances."""
    count = min(NUM_SAMPLES, num_there)
    return torch.arange(count) * num_there // count


def layer_record(
    tally: LayerTally, num_images: int, prices: EnergyTable, T: int, *, is_ann: bool = False
) -> dict[str, str | int | float | bool | None]:
    """A layer's line of the table: all counts are for one image, over all of its steps.

    Args:
        tally: What was counted.
        num_images: Over how many images.
        prices: Of one operation.
        T: How many steps each image was shown for.
        is_ann: Whether the network has no neurons that fire.
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

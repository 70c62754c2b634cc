"""What a trained network computes for an image, and from it an estimate of the energy that this takes.

For every convolution and linear layer, with `operations` a step, `passes` steps and the share `rate` of inputs that
are not 0:

    stem:   operations * passes         multiplications, whatever the pixels are
    others: operations * passes * rate  additions if every input was 0 or 1, else multiplications
    ANN:    operations * passes         multiplications, in every layer: hardware for ANNs skips no zeros
    energy = additions * addition_pj + multiplications * multiplication_pj

It is an estimate: memory, the neurons themselves and all control are left out, and the prices are those of one
process. Compare methods by their ratio.

Two totals are given. `uj_per_image` goes by what each layer was fed with: behind an average pool inputs are not
binary, so that layer multiplies. `uj_per_image_paper` counts as the paper does: the first layer multiplies, all
others only add; an ANN multiplies in both.

Source: Deng et al., ICLR 2022, section 5.2 and Fig. 4B; prices: `tet_core.config.ENERGY_TABLES`.
"""

from collections.abc import Iterator, Sequence

from tet_core.analysis.subject import Record, Row, Subject, finite
from tet_core.config import ENERGY_TABLES, Energy, EnergyTable, ReluConfig
from tet_core.operations import LayerTally, NeuronTally, Tallies, tallied

_UJ = 1e-6  # of a pJ
TOTALS = ("additions", "multiplications", "energy_uj", "energy_uj_paper")


def energy_rows(subject: Subject, energy: Energy, done: int = 0) -> Iterator[Row]:
    """Count a pass over the samples at every T asked for, one a row.

    Args:
        subject: The network.
        energy: Which T, the samples and the prices.
        done: Rows to leave out at the beginning.
    """
    prices = ENERGY_TABLES[energy.table]
    is_ann = isinstance(subject.config.neuron, ReluConfig)
    all_T = (subject.config.T,) if energy.T is None else energy.T
    for row, T in enumerate(all_T[done:], done + 1):
        dataset = subject.dataset(T)
        samples = subject.samples(dataset, "test", energy.num_samples)
        with tallied(subject.model) as tallies:
            accuracy = subject.measure(dataset, samples, T)["accuracy"]
        layers = [layer_record(tally, len(samples), prices, T, is_ann=is_ann) for tally in tallies.layers]
        neurons = [_neuron_record(tally, T) for tally in tallies.neurons]
        yield Row(row, T, finite(_totals(layers, tallies) | {"energy/accuracy": accuracy}), layers + neurons)


def layer_record(tally: LayerTally, num_images: int, prices: EnergyTable, T: int, *, is_ann: bool = False) -> Record:
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


def _neuron_record(tally: NeuronTally, T: int) -> Record:
    """A layer of neurons: how often they fire; it has no operations that are counted."""
    record: Record = {"T": T, "layer": tally.name, "kind": "neuron"}
    record |= dict.fromkeys(("is_stem", "only_adds", "operations_per_step", "steps"))
    record["rate"] = tally.firing_rate
    record |= dict.fromkeys(TOTALS)
    return record


def _totals(layers: Sequence[Record], tallies: Tallies) -> dict[str, float]:
    sums = {key: sum(float(layer[key] or 0) for layer in layers) for key in TOTALS}
    outputs = sum(tally.num_outputs for tally in tallies.neurons)
    return {
        "energy/additions": sums["additions"],
        "energy/multiplications": sums["multiplications"],
        "energy/uj_per_image": sums["energy_uj"],
        "energy/uj_per_image_paper": sums["energy_uj_paper"],
        "energy/firing_rate": sum(tally.spikes for tally in tallies.neurons) / outputs if outputs else 0.0,
    }

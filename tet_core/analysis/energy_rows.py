"""The energy of a trained network, layer by layer, at every T asked for; `tet_core.measure.energy` has the formulas.

There are two totals. `uj_per_image` depends on the inputs of each layer: after an average pool the inputs are not
binary, so the next layer multiplies. `uj_per_image_paper` counts as the paper does: the layers before the first neuron
multiply, all others only add. In an ANN every layer multiplies, in both totals.

Source: Deng et al., ICLR 2022, section 5.2 and Fig. 4B.
"""

from collections.abc import Iterator, Sequence

from tet_core.analysis.subject import Record, Row, Subject, finite
from tet_core.config import ENERGY_TABLES, Energy, ReluConfig
from tet_core.measure.energy import layer_record
from tet_core.measure.operations import NeuronTally, Tallies, tallied

TOTALS = ("additions", "multiplications", "energy_uj", "energy_uj_paper")


def energy_rows(subject: Subject, energy: Energy, done: int = 0) -> Iterator[Row]:
    """Yield a row for every T asked for, each counted in one pass over the samples.

    Args:
        subject: The network.
        energy: The numbers of time steps T, the samples and the prices.
        done: Number of rows that are already measured; they are left out.
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


def _neuron_record(tally: NeuronTally, T: int) -> Record:
    """Return the table's line for a layer of neurons: its firing rate; operations of neurons are not counted."""
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

"""The values of chains for a quantity."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from service.chain_outcomes import ChainOutcome
from service.results.comparison import ComparedArm
from service.results.quantities import Quantity, Source
from service.results.result_rows import ResultRows
from service.results.tried import last_metrics, last_train_stage

# The value of each chain, by its id.
Values = Mapping[str, float]


def values_of(rows: ResultRows, chains: Sequence[ChainOutcome], quantity: Quantity) -> dict[str, float]:
    """Return the value of each chain that has one; of a quantity without T.

    Args:
        rows: The rows to read.
        chains: The chains, read with the metric of the quantity.
        quantity: The quantity.
    """
    match quantity.source:
        case Source.LAST_EPOCH:
            found = {chain.id: last_metrics(chain).get(quantity.name) for chain in chains}
        case Source.TRAIN_TIME:
            found = {chain.id: sum(stage.train_time_s for stage in chain.stages) for chain in chains}
        case Source.SUMMARY:
            summaries = rows.summaries(quantity.name)
            last = {chain.id: last_train_stage(chain) for chain in chains}
            found = {chain: None if index is None else summaries.get((chain, index)) for chain, index in last.items()}
        case Source.ENERGY:
            found = dict(rows.last_rows("energy", quantity.name))
        case Source.TIME_SWEEP:
            raise ValueError(f"{quantity.name} has a value at each T")
    return {chain: value for chain, value in found.items() if value is not None}


def values_by_T(rows: ResultRows, quantity: Quantity) -> dict[int | None, dict[str, float]]:
    """Return the value of each chain at each T, from its last time sweep."""
    last = {each.chain: each.curves for each in rows.curves(kind="time_sweep") if each.curves}
    found: dict[int, dict[str, float]] = {}
    for chain, curves in last.items():
        for T in curves.steps:
            if (value := curves.at(quantity.name, T)) is not None:
                found.setdefault(T, {})[chain] = value
    return {T: found[T] for T in sorted(found)}


def with_values(
    arms: Iterable[ComparedArm], chains: Mapping[tuple[str, int], str], values: Values
) -> list[ComparedArm]:
    """Return the arms with other values in their results.

    Args:
        arms: The arms, with the results of the chains that have succeeded.
        chains: The id of the chain of each arm and seed.
        values: The values of the chains. A result whose chain has no value is left out.
    """
    return [
        replace(
            arm,
            results={
                seed: replace(result, value=values[chain])
                for seed, result in arm.results.items()
                if (chain := chains[arm.name, seed]) in values
            },
        )
        for arm in arms
    ]

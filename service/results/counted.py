"""The chains that count in the answer to an experiment, and what figures and reports show of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.answers.comparisons import ComparisonView
from service.chain_outcomes import ChainOutcome, CurvesOfStage
from service.figures.figure_data import ArmSeries, FigureData, PairDifferences, TriedPoint
from service.results.result_rows import ResultRows
from service.results.tried import Tried, best_by_arm, tried_by_arm
from service.spec import Experiment
from service.states import WorkState


@dataclass(frozen=True)
class CountedChains:
    """The chains that count: at each arm and seed with a value the one of the arm's chosen configuration.

    Attributes:
        chains: These chains, in the order of the plan.
        curves: The curves of their stages.
        tried: All configurations of each arm that have a result.
    """

    chains: tuple[ChainOutcome, ...]
    curves: tuple[CurvesOfStage, ...]
    tried: Mapping[str, Sequence[Tried]]


def counted_chains(rows: ResultRows, outcomes: Sequence[ChainOutcome], compared: ComparisonView) -> CountedChains:
    """Read the chains that count in a comparison of the test accuracy.

    Args:
        rows: The rows to read.
        outcomes: All chains of the experiment.
        compared: The comparison, by the spec's own pairs.
    """
    tried = tried_by_arm(outcomes)
    number = {arm: best.number for arm, best in best_by_arm(tried).items()}
    counted = {(arm.name, each.seed) for arm in compared.arms for each in arm.values}
    chains = tuple(
        chain
        for chain in outcomes
        if (chain.arm, chain.seed) in counted
        and chain.state == WorkState.SUCCEEDED
        and chain.configuration == number.get(chain.arm)
    )
    ids = {chain.id for chain in chains}
    return CountedChains(chains, tuple(rows.curves(chains=ids)), tried)


def figure_data(spec: Experiment, compared: ComparisonView, counted: CountedChains) -> FigureData:
    """Return what the figures of an experiment are drawn from."""
    return FigureData(
        arms=tuple(arm.name for arm in spec.arms),
        baseline=spec.baseline_arm,
        series=tuple(_series(each) for each in counted.curves if each.curves is not None),
        pairs=tuple(_pairs(compared)),
        margin=None if spec.margin is None else 100 * spec.margin,
        tried=tuple(_tried(counted.tried)) if spec.search is not None else (),
    )


def _series(stage: CurvesOfStage) -> ArmSeries:
    assert stage.curves is not None
    return ArmSeries(
        stage.arm, stage.seed, stage.index, stage.kind, stage.T, stage.curves.steps, dict(stage.curves.values)
    )


def _pairs(compared: ComparisonView) -> Iterator[PairDifferences]:
    for arm, versus in compared.pairs():
        if versus.difference is not None:
            yield PairDifferences(
                arm,
                versus.to,
                tuple(each.seed for each in versus.differences),
                tuple(100 * each.value for each in versus.differences),
                100 * versus.difference,
                None if versus.low is None else 100 * versus.low,
                None if versus.high is None else 100 * versus.high,
                versus.verdict.replace("_", " "),
            )


def _tried(tried: Mapping[str, Iterable[Tried]]) -> Iterator[TriedPoint]:
    best = best_by_arm({arm: [*each] for arm, each in tried.items()})
    for arm, configurations in tried.items():
        for each in configurations:
            if each.val_accuracy is not None:
                yield TriedPoint(arm, each.number, each.val_accuracy, each.number == best[arm].number)


def distinct_facts(counted: CountedChains, key: str) -> list[tuple[dict[str, Any], int]]:
    """Return the different records under one key of the stages' facts, each with its number of stages.

    Records that do not contradict each other count as one: an analysis records less than a training.
    """
    found: list[tuple[dict[str, Any], int]] = []
    for each in counted.curves:
        facts = each.curves.facts.get(key) if each.curves is not None else None
        if not isinstance(facts, Mapping):
            continue
        place = next((number for number, (known, _) in enumerate(found) if _agree(known, facts)), None)
        if place is None:
            found.append((dict(facts), 1))
        else:
            found[place] = ({**found[place][0], **facts}, found[place][1] + 1)
    return found


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[key] == other[key] for key in one.keys() & other.keys())


def num_parameters(counted: CountedChains) -> dict[str, int]:
    """Return the number of parameters of the network of each arm, as far as it was recorded."""
    return {
        each.arm: int(each.curves.facts["num_parameters"])
        for each in counted.curves
        if each.curves is not None and "num_parameters" in each.curves.facts
    }

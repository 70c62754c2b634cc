"""The configurations that an experiment has tried, with their results by seed, from the rows of its chains."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from service.chain_outcomes import ChainOutcome
from service.events import ClassCounts
from service.results.choice import best_of
from service.results.comparison import QUANTITY, Result
from service.spec.search import ACCURACY as VAL_ACCURACY
from service.states import WorkState


@dataclass(frozen=True)
class Tried:
    """One configuration of an arm: its results by seed, and its validation accuracies by seed.

    `validation` is empty without a validation set; `number` is the configuration's number within its arm, from 0.
    """

    configuration: Mapping[str, Any]
    results: Mapping[int, Result]
    validation: Mapping[int, float]
    number: int = 0

    @property
    def num_results(self) -> int:
        """The number of seeds at which its chain has succeeded."""
        return len(self.results)

    @property
    def val_accuracy(self) -> float | None:
        """The mean validation accuracy over the seeds, a fraction; None without a validation set."""
        return fmean(self.validation.values()) if self.validation else None


def tried_by_arm(chains: Iterable[ChainOutcome]) -> dict[str, list[Tried]]:
    """Return the configurations of each arm that have a succeeded chain, in the order of the chains."""
    results: dict[tuple[str, int], dict[int, Result]] = {}
    validation: dict[tuple[str, int], dict[int, float]] = {}
    values: dict[tuple[str, int], Mapping[str, Any]] = {}
    for chain in chains:
        last = last_metrics(chain)
        if chain.state != WorkState.SUCCEEDED or QUANTITY not in last:
            continue
        key = chain.arm, chain.configuration
        time_s = sum(stage.train_time_s for stage in chain.stages)
        values[key] = chain.hyperparameters
        results.setdefault(key, {})[chain.seed] = Result(
            last[QUANTITY], time_s, chain.stages[0].initial_sha256, _test_set(chain)
        )
        if VAL_ACCURACY in last:
            validation.setdefault(key, {})[chain.seed] = last[VAL_ACCURACY]
    tried: dict[str, list[Tried]] = {}
    for key, configuration in values.items():
        arm, number = key
        tried.setdefault(arm, []).append(Tried(configuration, results[key], validation.get(key, {}), number))
    return tried


def best_by_arm(tried: Mapping[str, Sequence[Tried]]) -> dict[str, Tried]:
    """Return the configuration that stands for each arm; an arm without a result is missing."""
    return {arm: best for arm, each in tried.items() if (best := best_of(each)) is not None}


def last_metrics(chain: ChainOutcome) -> Mapping[str, float]:
    """Return the metrics of a chain's last train stage, which count as the metrics of the chain."""
    return next((stage.metrics for stage in reversed(chain.stages) if stage.kind == "train"), {})


def last_train_stage(chain: ChainOutcome) -> int | None:
    """Return the index of a chain's last train stage; None if it has none."""
    return next((stage.index for stage in reversed(chain.stages) if stage.kind == "train"), None)


def chosen_chains(chains: Iterable[ChainOutcome], best: Mapping[str, Tried]) -> dict[tuple[str, int], ChainOutcome]:
    """Return the chain that stands for each arm at each seed: that of the arm's chosen configuration."""
    number = {arm: tried.number for arm, tried in best.items()}
    return {(chain.arm, chain.seed): chain for chain in chains if number.get(chain.arm) == chain.configuration}


def _test_set(chain: ChainOutcome) -> ClassCounts | None:
    """Return the counts of the test set of a chain's last train stage; None if they were not recorded."""
    stored = next((stage.test_set for stage in reversed(chain.stages) if stage.kind == "train"), None)
    return None if stored is None else ClassCounts.model_validate(stored)

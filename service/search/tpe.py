"""Proposals of a tree-structured Parzen estimator (TPE), as Optuna implements it.

Source: Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; with two goals, Ozaki et al.,
Multiobjective Tree-Structured Parzen Estimator, JAIR 2022.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.search.proposals import Configuration
from service.search.seen import Seen
from service.spec.search import Dimension, Search

# Directions of the goals, in their order.
_DIRECTIONS: tuple[Literal["maximize", "minimize"], ...] = ("maximize", "minimize")


def tpe_configuration(search: Search, space: Mapping[str, Dimension], key: str, seen: Sequence[Seen]) -> Configuration:
    """Return the next configuration.

    Args:
        search: The search; only its goals are used.
        space: The dimensions to choose values from, by place.
        key: A text that all random draws depend on.
        seen: The configurations so far.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {place: _distribution(dimension) for place, dimension in space.items()}
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(
            directions=_DIRECTIONS[: len(search.goal)], sampler=TPESampler(seed=seed, multivariate=True)
        )
        study.add_trials([_trial(each, distributions, len(search.goal)) for each in _comparable(seen)])
        proposal = study.ask(distributions)
    return {place: proposal.params[place] for place in space}


def _comparable(seen: Sequence[Seen]) -> Sequence[Seen]:
    """Return the configurations as Optuna can compare them.

    With two goals, Optuna has no state for a bad configuration, so a broken one gets the worst outcome so far.
    """
    outcomes = [each.outcome for each in seen if each.state == "complete"]
    if not outcomes or len(outcomes[0]) == 1:
        return seen
    worst = (0.0, max(cost for _, cost in outcomes))
    return [Seen(each.values, "complete", worst) if each.state == "broken" else each for each in seen]


def _trial(each: Seen, distributions: dict[str, BaseDistribution], num_goals: int) -> FrozenTrial:
    # With two goals Optuna accepts no pruned trials.
    ended = TrialState.FAIL if num_goals > 1 else TrialState.PRUNED
    states = {
        "complete": TrialState.COMPLETE,
        "stopped": ended,
        "broken": ended,
        "running": TrialState.RUNNING,
        "failed": TrialState.FAIL,
    }
    return create_trial(
        state=states[each.state],
        values=each.outcome if each.state == "complete" else None,
        params=dict(each.values),
        distributions=distributions,
        intermediate_values=dict(each.progress),
    )


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.choice is not None:
        return CategoricalDistribution(dimension.choice)
    low, high = dimension.ends
    if dimension.int_range is not None:
        return IntDistribution(low, high)
    return FloatDistribution(low, high, log=dimension.log_range is not None)

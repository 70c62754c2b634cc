"""How the configurations of a search stand, by what their chains have committed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import NamedTuple

from service.plan import Chain
from service.runner.chains.board import StageId
from service.runner.chains.ledger import Ledger
from service.runner.commits.records import Commit
from service.search.stopping import History
from service.spec.search import ACCURACY, TIME, EarlyStopping


class ConfigurationId(NamedTuple):
    """A configuration: the number that its arm's search has given it, from 0."""

    arm: str
    number: int


class Place(NamedTuple):
    """How far a configuration is: an epoch of a stage."""

    stage: int
    epoch: int


class Standings:
    """How far each configuration is, and how good.

    Args:
        ledger: What is committed.
        rule: Where it is looked at, if it is.
    """

    def __init__(self, ledger: Ledger, rule: EarlyStopping | None) -> None:
        self._ledger, self._rule = ledger, rule
        self._of: dict[ConfigurationId, list[str]] = {}
        for chain in ledger.chains.values():
            self._of.setdefault(configuration_of(chain), []).append(chain.id)
        self._num_of_arm = Counter(configuration.arm for configuration in self._of)

    @property
    def configurations(self) -> Iterable[ConfigurationId]:
        """All of them, in the order in which they are to be tried."""
        return self._of

    def are_several(self, arm: str) -> bool:
        """Whether an arm has anything to compare a configuration with."""
        return self._num_of_arm[arm] > 1

    def chains(self, configuration: ConfigurationId) -> tuple[Chain, ...]:
        """Those of a configuration, one a seed."""
        return tuple(self._ledger.chains[chain] for chain in self._of[configuration])

    def next_place(self, configuration: ConfigurationId, known: Iterable[Place]) -> Place | None:
        """Where it is to be looked at now, behind the places that are `known`.

        All its chains are there, but for those that have failed; None where they are not.
        """
        if self._rule is None or not self.are_several(configuration.arm):
            return None
        chains = [chain for chain in self.chains(configuration) if not self._ledger.failed(chain)]
        if not chains:
            return None
        place = next((place for place in self.looks(chains[0]) if place not in known), None)
        return place if place is not None and all(self.is_at(chain, place) for chain in chains) else None

    def looks(self, chain: Chain) -> Iterator[Place]:
        """Where early stopping looks at a chain, in order."""
        if self._rule is not None and self.are_several(chain.arm):
            for stage in chain.train_stages:
                epochs = range(1, stage.config.epochs)  # behind the last one there is nothing to stop
                yield from (Place(stage.index, epoch) for epoch in epochs if self._rule.judges_at(epoch))

    def is_at(self, chain: Chain, place: Place) -> bool:
        """Whether a chain has got to a place."""
        last = self._ledger.progress(StageId(chain.id, place.stage)).last
        return last is not None and last.epoch >= place.epoch

    def history(self, configuration: ConfigurationId, place: Place) -> History:
        """Validation accuracy of each epoch of a stage up to a place: the mean over the seeds that are there."""
        commits = [
            self._commits(chain, place.stage)[: place.epoch]
            for chain in self.chains(configuration)
            if self.is_at(chain, place)
        ]
        return [fmean(commit.metrics[ACCURACY] for commit in of_epoch) for of_epoch in zip(*commits, strict=True)]

    def reached_ms(self, configuration: ConfigurationId, place: Place) -> int:
        """When its last chain got there, in ms since 1970."""
        chains = [chain for chain in self.chains(configuration) if self.is_at(chain, place)]
        return max(self._commits(chain, place.stage)[place.epoch - 1].at_ms for chain in chains)

    def ends_ms(self, configuration: ConfigurationId) -> list[int]:
        """When each of its stages ended that has, in ms since 1970."""
        stages = [StageId(chain.id, stage.index) for chain in self.chains(configuration) for stage in chain.stages]
        return [done.at_ms for stage in stages if (done := self._ledger.progress(stage).done) is not None]

    def outcome(self, configuration: ConfigurationId, goals: Iterable[str]) -> list[float]:
        """Of each goal its value, a mean over the seeds, all of which have succeeded."""
        return [fmean(self._value(chain, goal) for chain in self.chains(configuration)) for goal in goals]

    def _value(self, chain: Chain, goal: str) -> float:
        if goal == TIME:
            return sum(self._ledger.progress(StageId(chain.id, stage.index)).train_time_s for stage in chain.stages)
        return self._commits(chain, chain.train_stages[-1].index)[-1].metrics[goal]

    def _commits(self, chain: Chain, stage: int) -> tuple[Commit, ...]:
        return self._ledger.progress(StageId(chain.id, stage)).commits


def configuration_of(chain: Chain) -> ConfigurationId:
    """The configuration that a chain is of."""
    return ConfigurationId(chain.arm, chain.number)

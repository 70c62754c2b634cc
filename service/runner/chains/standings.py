"""The standings of a search: the progress and the metrics of its configurations, from the commits of their chains."""

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
    """A configuration of an arm, by its number, from 0."""

    arm: str
    number: int


class Rung(NamedTuple):
    """A rung: an epoch of a stage at which early stopping compares configurations."""

    stage: int
    epoch: int


class Standings:
    """The standings of all configurations.

    Args:
        ledger: The committed state of all stages.
        rule: The rule of early stopping, which sets the rungs; None: configurations are not judged.
    """

    def __init__(self, ledger: Ledger, rule: EarlyStopping | None) -> None:
        self._ledger, self._rule = ledger, rule
        self._of: dict[ConfigurationId, list[str]] = {}
        for chain in ledger.chains.values():
            self._of.setdefault(configuration_of(chain), []).append(chain.id)
        self._num_of_arm = Counter(configuration.arm for configuration in self._of)

    @property
    def configurations(self) -> Iterable[ConfigurationId]:
        """All configurations, in the order in which they are tried."""
        return self._of

    def are_several(self, arm: str) -> bool:
        """Return whether an arm has more than one configuration, so that they can be compared."""
        return self._num_of_arm[arm] > 1

    def chains(self, configuration: ConfigurationId) -> tuple[Chain, ...]:
        """Return the chains of a configuration, one for each seed."""
        return tuple(self._ledger.chains[chain] for chain in self._of[configuration])

    def next_rung(self, configuration: ConfigurationId, known: Iterable[Rung]) -> Rung | None:
        """Return the rung at which a configuration can be judged now: the first one that is not `known`.

        Return None if there is no such rung, or if a chain has yet to reach it. Failed chains do not count.
        """
        if self._rule is None or not self.are_several(configuration.arm):
            return None
        chains = [chain for chain in self.chains(configuration) if not self._ledger.has_failed(chain)]
        if not chains:
            return None
        rung = next((rung for rung in self.rungs(chains[0]) if rung not in known), None)
        return rung if rung is not None and all(self.is_at(chain, rung) for chain in chains) else None

    def rungs(self, chain: Chain) -> Iterator[Rung]:
        """Yield the rungs at which early stopping judges a chain, in order."""
        if self._rule is not None and self.are_several(chain.arm):
            for stage in chain.train_stages:
                epochs = range(1, stage.epochs)  # after the last one there is nothing to stop
                yield from (Rung(stage.index, epoch) for epoch in epochs if self._rule.judges_at(epoch))

    def is_at(self, chain: Chain, rung: Rung) -> bool:
        """Return whether a chain has reached a rung."""
        last = self._ledger.progress(StageId(chain.id, rung.stage)).last
        return last is not None and last.epoch >= rung.epoch

    def history(self, configuration: ConfigurationId, rung: Rung) -> History:
        """Return the validation accuracy of each epoch up to a rung: a mean over the seeds that have reached it."""
        commits = [
            self._commits(chain, rung.stage)[: rung.epoch]
            for chain in self.chains(configuration)
            if self.is_at(chain, rung)
        ]
        return [fmean(commit.metrics[ACCURACY] for commit in of_epoch) for of_epoch in zip(*commits, strict=True)]

    def reached_ms(self, configuration: ConfigurationId, rung: Rung) -> int:
        """Return the time at which the last chain reached a rung, in ms since 1970."""
        chains = [chain for chain in self.chains(configuration) if self.is_at(chain, rung)]
        return max(self._commits(chain, rung.stage)[rung.epoch - 1].at_ms for chain in chains)

    def ends_ms(self, configuration: ConfigurationId) -> list[int]:
        """Return the end times of the stages that have ended, in ms since 1970."""
        stages = [StageId(chain.id, stage.index) for chain in self.chains(configuration) for stage in chain.stages]
        return [done.at_ms for stage in stages if (done := self._ledger.progress(stage).done) is not None]

    def outcome(self, configuration: ConfigurationId, goals: Iterable[str]) -> list[float]:
        """Return the value of each goal, a mean over the seeds. All seeds must have succeeded."""
        return [fmean(self._value(chain, goal) for chain in self.chains(configuration)) for goal in goals]

    def _value(self, chain: Chain, goal: str) -> float:
        if goal == TIME:
            return sum(self._ledger.progress(StageId(chain.id, stage.index)).train_time_s for stage in chain.stages)
        return self._commits(chain, chain.train_stages[-1].index)[-1].metrics[goal]

    def _commits(self, chain: Chain, stage: int) -> tuple[Commit, ...]:
        return self._ledger.progress(StageId(chain.id, stage)).commits


def configuration_of(chain: Chain) -> ConfigurationId:
    """Return the configuration to which a chain belongs."""
    return ConfigurationId(chain.arm, chain.number)

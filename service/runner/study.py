"""A search in the course of its experiment: what is tried next, and what of it goes on.

It looks at validation accuracy alone, and at configurations over all their seeds: at each epoch at which early
stopping looks, the chains of a configuration wait for each other, and go on or stop together. What it comes to is in
its journal before it acts.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from statistics import fmean
from typing import Any, NamedTuple

from service.errors import SpecInvalid
from service.plan import Chain, StagePlan, settled
from service.runner.board import StageId
from service.runner.ledger import Ledger, Stop
from service.runner.stage_folder import Commit
from service.runner.study_journal import Decision, Entry, Proposal, StudyJournal
from service.search.configurations import searched
from service.search.learning import Seen, proposed
from service.search.stopping import History, judged
from service.spec import Experiment
from service.spec_search import ACCURACY, TIME, EarlyStopping
from service.states import WorkState


class ConfigurationId(NamedTuple):
    """A configuration: the number that its arm's search has given it, from 0."""

    arm: str
    number: int


class Place(NamedTuple):
    """How far a configuration is: an epoch of a stage."""

    stage: int
    epoch: int


class Verdict(Enum):
    """What becomes of a chain behind an epoch."""

    GO_ON = "it goes on"
    WAIT = "it gives its place to others until the configuration's other seeds are as far"
    STOP = "its configuration has been stopped"


@dataclass(frozen=True)
class Turn:
    """A decision that was just taken: the chains of a configuration go on, or stop."""

    chains: tuple[Chain, ...]
    goes_on: bool


class Study:
    """The search of one experiment.

    Args:
        spec: The experiment's.
        ledger: What is committed; it is told what is proposed and what is stopped.
        journal: What earlier drivers have proposed and decided.
        clock: Milliseconds since 1970.
    """

    def __init__(
        self,
        spec: Experiment,
        ledger: Ledger,
        journal: StudyJournal,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._spec, self._ledger, self._journal, self._clock = spec, ledger, journal, clock
        self._rule: EarlyStopping | None = spec.early_stopping
        self._configurations: dict[ConfigurationId, tuple[str, ...]] = {}
        for chain in ledger.chains.values():
            configuration = _of(chain)
            self._configurations[configuration] = (*self._configurations.get(configuration, ()), chain.id)
        self._proposals: dict[ConfigurationId, Mapping[str, Any] | None] = {}
        self._decisions: dict[ConfigurationId, dict[Place, Decision]] = {}
        self._stopped: set[ConfigurationId] = set()
        self._turns: list[Turn] = []
        self._read_on()

    # -- what the campaign asks --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Decide what an earlier driver had not come to decide, in the order in which it would have."""
        while waiting := [(self._reached_ms(each, place), each, place) for each, place in self._undecided()]:
            _, configuration, place = min(waiting)
            self._decide(configuration, place)

    def settle(self, chain_id: str) -> bool:
        """Make sure that a chain has its hyperparameters; False where nothing is left to try."""
        chain = self._ledger.chains[chain_id]
        configuration = _of(chain)
        if chain.proposed:
            return True
        self._write(lambda: None if configuration in self._proposals else self._proposal(configuration))
        return self._proposals[configuration] is not None

    def heard(self, stage: StageId) -> Verdict:
        """What becomes of a chain whose stage has committed an epoch."""
        configuration = _of(self._ledger.chains[stage.chain])
        self._decide_all(configuration)
        if configuration in self._stopped:
            return Verdict.STOP
        return Verdict.WAIT if self.waits(stage.chain) else Verdict.GO_ON

    def failed(self, chain_id: str) -> None:
        """A chain has failed for good: the others of its configuration no longer wait for it."""
        self._decide_all(_of(self._ledger.chains[chain_id]))

    def broke(self, stage: StageId, failure: Mapping[str, Any]) -> bool:
        """A network has diverged or died; whether that ends its configuration and nothing else.

        It does where the search has others for the arm: that some of them fail is what it is to find out.
        """
        chain = self._ledger.chains[stage.chain]
        configuration = _of(chain)
        if sum(each.arm == chain.arm for each in self._configurations) == 1:
            return False
        last = self._ledger.progress(stage).last
        place = Place(stage.index, last.epoch if last else 0)
        reason = f"seed {chain.seed} failed: {failure['type']}: {failure['message']}"
        self._write(
            lambda: None if configuration in self._stopped else self._breakdown(configuration, place, reason, failure)
        )
        return True

    def waits(self, chain_id: str) -> bool:
        """Whether a chain has got to where its configuration is looked at and the others have not."""
        chain = self._ledger.chains[chain_id]
        known = self._decisions.get(_of(chain), {})
        return any(self._is_at(chain, place) and place not in known for place in self._looks(chain))

    def turns(self) -> list[Turn]:
        """The decisions since the last call."""
        turns, self._turns = self._turns, []
        return turns

    # -- deciding ----------------------------------------------------------------------------------------------

    def _decide_all(self, configuration: ConfigurationId) -> None:
        while configuration not in self._stopped and (place := self._next_place(configuration)) is not None:
            self._decide(configuration, place)

    def _decide(self, configuration: ConfigurationId, place: Place) -> None:
        known = self._decisions.setdefault(configuration, {})
        self._write(lambda: None if place in known else self._judgement(configuration, place))

    def _judgement(self, configuration: ConfigurationId, place: Place) -> Decision:
        assert self._rule is not None
        own = self._history(configuration, place)
        others = [
            self._history(other, place)
            for other, decisions in self._decisions.items()
            if other.arm == configuration.arm and other != configuration and place in decisions
        ]
        judgement = judged(self._rule, own, [each for each in others if each])
        return Decision(
            **configuration._asdict(), **place._asdict(), goes_on=judgement.goes_on, reason=judgement.reason,
            at_ms=self._clock(), value=own[-1],
        )  # fmt: skip

    def _breakdown(
        self, configuration: ConfigurationId, place: Place, reason: str, failure: Mapping[str, Any]
    ) -> Decision:
        return Decision(
            **configuration._asdict(), **place._asdict(), goes_on=False, reason=reason, at_ms=self._clock(),
            failure=dict(failure),
        )  # fmt: skip

    def _next_place(self, configuration: ConfigurationId) -> Place | None:
        """Where a configuration is to be looked at now: all its chains are there, but for those that have failed."""
        chains = [chain for chain in self._chains(configuration) if not self._ledger.failed(chain)]
        if self._rule is None or not chains:
            return None
        known = self._decisions.get(configuration, {})
        place = next((place for place in self._looks(chains[0]) if place not in known), None)
        return place if place is not None and all(self._is_at(chain, place) for chain in chains) else None

    def _undecided(self) -> Iterator[tuple[ConfigurationId, Place]]:
        for configuration in self._configurations:
            if configuration not in self._stopped and (place := self._next_place(configuration)) is not None:
                yield configuration, place

    def _looks(self, chain: Chain) -> Iterator[Place]:
        """Where early stopping looks at a chain, in order."""
        if self._rule is not None:
            for stage in chain.train_stages:
                yield from (Place(stage.index, epoch) for epoch in _epochs(stage) if self._rule.checks(epoch))

    def _is_at(self, chain: Chain, place: Place) -> bool:
        last = self._ledger.progress(StageId(chain.id, place.stage)).last
        return last is not None and last.epoch >= place.epoch

    def _history(self, configuration: ConfigurationId, place: Place) -> History:
        """Validation accuracy of each epoch of a stage up to a place: the mean over the seeds that are there."""
        commits = [
            self._commits(chain, place.stage)[: place.epoch]
            for chain in self._chains(configuration)
            if self._is_at(chain, place)
        ]
        return [fmean(commit.metrics[ACCURACY] for commit in of_epoch) for of_epoch in zip(*commits, strict=True)]

    def _reached_ms(self, configuration: ConfigurationId, place: Place) -> int:
        chains = [chain for chain in self._chains(configuration) if self._is_at(chain, place)]
        return max(self._commits(chain, place.stage)[place.epoch - 1].at_ms for chain in chains)

    # -- proposing ---------------------------------------------------------------------------------------------

    def _proposal(self, configuration: ConfigurationId) -> Proposal:
        assert self._spec.search is not None
        arm = next(index for index, each in enumerate(self._spec.arms) if each.name == configuration.arm)
        earlier = sorted(each for each in self._proposals if each.arm == configuration.arm)
        seen = [self._seen(each, values) for each in earlier if (values := self._proposals[each]) is not None]
        of_spec = searched(self._spec)
        signatures = {of_spec.configured(arm, each.values).signature for each in seen}

        def is_new(values: Mapping[str, Any]) -> bool:
            try:
                return of_spec.configured(arm, values).signature not in signatures
            except SpecInvalid:
                return False

        values = proposed(self._spec.search, of_spec.space(arm), configuration.arm, seen, is_new)
        return Proposal(**configuration._asdict(), values=values, at_ms=self._clock())

    def _seen(self, configuration: ConfigurationId, values: Mapping[str, Any]) -> Seen:
        chains = self._chains(configuration)
        states = {self._ledger.chain_state(chain) for chain in chains}
        decisions = self._decisions.get(configuration, {})
        if configuration in self._stopped:
            if any(decision.failure is not None for decision in decisions.values()):
                return Seen(values, "broken")
            return Seen(values, "stopped", progress=self._progress(chains[0], decisions.values()))
        if states == {WorkState.SUCCEEDED}:
            return Seen(values, "complete", outcome=self._outcome(chains))
        return Seen(values, "failed" if states <= {WorkState.SUCCEEDED, WorkState.FAILED} else "running")

    def _outcome(self, chains: Iterable[Chain]) -> list[float]:
        """Of each goal its value, a mean over the seeds."""
        assert self._spec.search is not None
        return [fmean(self._value(chain, goal) for chain in chains) for goal in self._spec.search.goal]

    def _value(self, chain: Chain, goal: str) -> float:
        if goal == TIME:
            return sum(self._ledger.progress(StageId(chain.id, stage.index)).train_time_s for stage in chain.stages)
        return self._commits(chain, chain.train_stages[-1].index)[-1].metrics[goal]

    @staticmethod
    def _progress(chain: Chain, decisions: Iterable[Decision]) -> dict[int, float]:
        """What was seen of a configuration, by the epochs of all its stages up to there."""
        before = {
            stage.index: sum(earlier.config.epochs for earlier in chain.train_stages[:number])
            for number, stage in enumerate(chain.train_stages)
        }
        return {before[each.stage] + each.epoch: each.value for each in decisions if each.value is not None}

    # -- the journal -------------------------------------------------------------------------------------------

    def _write(self, make: Callable[[], Entry | None]) -> None:
        """Journal what is made, and then act by it; made anew, or not at all, where another driver was faster."""
        while (entry := make()) is not None:
            if self._journal.append(entry):
                self._take(entry)
                return
            self._read_on()

    def _read_on(self) -> None:
        for entry in self._journal.news():
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        configuration = ConfigurationId(entry.arm, entry.number)
        chains = self._chains(configuration)
        if isinstance(entry, Proposal):
            self._proposals[configuration] = entry.values
            if entry.values is None:
                self._end(configuration, chains, Stop(entry.at_ms, "nothing else was left to try"))
            else:
                for chain in chains:
                    self._ledger.settle(settled(self._spec, chain, entry.values))
            return
        self._decisions.setdefault(configuration, {})[Place(entry.stage, entry.epoch)] = entry
        if entry.goes_on:
            self._turns.append(Turn(chains, True))
        else:
            where = f"stopped at epoch {entry.epoch} of stage {entry.stage + 1}"
            self._end(configuration, chains, Stop(entry.at_ms, f"{where}: {entry.reason}", entry.failure))

    def _end(self, configuration: ConfigurationId, chains: tuple[Chain, ...], stop: Stop) -> None:
        self._stopped.add(configuration)
        for chain in chains:
            self._ledger.stop(chain.id, stop)
        self._turns.append(Turn(chains, False))

    def _chains(self, configuration: ConfigurationId) -> tuple[Chain, ...]:
        return tuple(self._ledger.chains[chain] for chain in self._configurations[configuration])

    def _commits(self, chain: Chain, stage: int) -> tuple[Commit, ...]:
        return self._ledger.progress(StageId(chain.id, stage)).commits


def _of(chain: Chain) -> ConfigurationId:
    return ConfigurationId(chain.arm, chain.number)


def _epochs(stage: StagePlan) -> range:
    """The epochs behind which a stage goes on."""
    return range(1, stage.config.epochs)

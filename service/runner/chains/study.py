"""A search in the course of its experiment: what is tried next, and what of it goes on.

It looks at validation accuracy alone, and at configurations over all their seeds: at each epoch at which early
stopping looks, the chains of a configuration wait for each other, and go on or stop together. What it comes to is in
its journal before it acts.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from service.errors import SpecInvalid
from service.failures import Failure
from service.plan import Chain, with_configuration
from service.runner.chains.board import StageId
from service.runner.chains.journal import Decision, Entry, Proposal, StudyJournal
from service.runner.chains.ledger import Ledger, Stop
from service.runner.chains.standings import ConfigurationId, Place, Standings, configuration_of
from service.search.configurations import searched_spec
from service.search.learning import next_configuration
from service.search.seen import Seen
from service.search.stopping import judged
from service.spec import Experiment
from service.states import WorkState


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
        self._standings = Standings(ledger, spec.early_stopping)
        self._proposals: dict[ConfigurationId, Mapping[str, Any] | None] = {}
        self._decisions: dict[ConfigurationId, dict[Place, Decision]] = {}
        self._stopped: set[ConfigurationId] = set()
        self._turns: list[Turn] = []
        self._read_on()

    # -- what the campaign asks --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Decide what an earlier driver had not come to decide, in the order in which it would have."""
        while waiting := [(self._standings.reached_ms(each, place), each, place) for each, place in self._undecided()]:
            _, configuration, place = min(waiting)
            self._decide(configuration, place)
        self._turns.clear()  # whoever begins now sees where they have led

    def settle(self, chain_id: str) -> bool:
        """Make sure that a chain has its hyperparameters; False where nothing is left to try."""
        chain = self._ledger.chains[chain_id]
        configuration = configuration_of(chain)
        if chain.proposed:
            return True
        self._write(lambda: None if configuration in self._proposals else self._proposal(configuration))
        return self._proposals[configuration] is not None

    def heard(self, stage: StageId) -> Verdict:
        """What becomes of a chain whose stage has committed an epoch."""
        configuration = configuration_of(self._ledger.chains[stage.chain])
        self._decide_all(configuration)
        if configuration in self._stopped:
            return Verdict.STOP
        return Verdict.WAIT if self.waits(stage.chain) else Verdict.GO_ON

    def failed(self, chain_id: str) -> None:
        """A chain has failed for good: the others of its configuration no longer wait for it."""
        self._decide_all(configuration_of(self._ledger.chains[chain_id]))

    def broke(self, stage: StageId, failure: Failure) -> bool:
        """A network has diverged or died; whether that ends its configuration and nothing else.

        It does where the search has others for the arm: that some of them fail is what it is to find out.
        """
        chain = self._ledger.chains[stage.chain]
        configuration = configuration_of(chain)
        if not self._standings.are_several(chain.arm):
            return False
        last = self._ledger.progress(stage).last
        place = Place(stage.index, last.epoch if last else 0)
        reason = f"seed {chain.seed} failed: {failure.type}: {failure.message}"
        self._write(
            lambda: None if configuration in self._stopped else self._breakdown(configuration, place, reason, failure)
        )
        return True

    def waits(self, chain_id: str) -> bool:
        """Whether a chain has got to where its configuration is looked at and the others have not."""
        chain = self._ledger.chains[chain_id]
        known = self._decisions.get(configuration_of(chain), {})
        return any(self._standings.is_at(chain, place) and place not in known for place in self._standings.looks(chain))

    def turns(self) -> list[Turn]:
        """The decisions since the last call."""
        turns, self._turns = self._turns, []
        return turns

    # -- deciding ----------------------------------------------------------------------------------------------

    def _decide_all(self, configuration: ConfigurationId) -> None:
        while (place := self._next_place(configuration)) is not None:
            self._decide(configuration, place)

    def _decide(self, configuration: ConfigurationId, place: Place) -> None:
        known = self._decisions.setdefault(configuration, {})
        self._write(lambda: None if place in known else self._judgement(configuration, place))

    def _judgement(self, configuration: ConfigurationId, place: Place) -> Decision:
        assert self._spec.early_stopping is not None
        own = self._standings.history(configuration, place)
        others = [
            self._standings.history(other, place)
            for other, decisions in self._decisions.items()
            if other.arm == configuration.arm and other != configuration and place in decisions
        ]
        judgement = judged(self._spec.early_stopping, own, [each for each in others if each])
        return Decision(
            **configuration._asdict(),
            **place._asdict(),
            goes_on=judgement.goes_on,
            reason=judgement.reason,
            at_ms=self._now(configuration),
            value=own[-1],
        )

    def _breakdown(self, configuration: ConfigurationId, place: Place, reason: str, failure: Failure) -> Decision:
        return Decision(
            **configuration._asdict(),
            **place._asdict(),
            goes_on=False,
            reason=reason,
            at_ms=self._now(configuration),
            failure=failure,
        )

    def _now(self, configuration: ConfigurationId) -> int:
        """No earlier than what has ended of a configuration, by whichever node's clock: that stays as it ended."""
        return max([self._clock(), *self._standings.ends_ms(configuration)])

    def _next_place(self, configuration: ConfigurationId) -> Place | None:
        if configuration in self._stopped:
            return None
        return self._standings.next_place(configuration, self._decisions.get(configuration, {}))

    def _undecided(self) -> Iterator[tuple[ConfigurationId, Place]]:
        for configuration in self._standings.configurations:
            if (place := self._next_place(configuration)) is not None:
                yield configuration, place

    # -- proposing ---------------------------------------------------------------------------------------------

    def _proposal(self, configuration: ConfigurationId) -> Proposal:
        assert self._spec.search is not None
        arm = next(index for index, each in enumerate(self._spec.arms) if each.name == configuration.arm)
        earlier = sorted(each for each in self._proposals if each.arm == configuration.arm)
        seen = [self._seen(each, values) for each in earlier if (values := self._proposals[each]) is not None]
        of_spec = searched_spec(self._spec)
        signatures = {of_spec.configured(arm, each.values).signature for each in seen}

        def is_new(values: Mapping[str, Any]) -> bool:
            try:
                return of_spec.configured(arm, values).signature not in signatures
            except SpecInvalid:
                return False

        values = next_configuration(self._spec.search, of_spec.space(arm), configuration.arm, seen, is_new)
        return Proposal(**configuration._asdict(), values=values, at_ms=self._clock())

    def _seen(self, configuration: ConfigurationId, values: Mapping[str, Any]) -> Seen:
        chains = self._standings.chains(configuration)
        assert self._spec.search is not None
        states = {self._ledger.chain_state(chain) for chain in chains}
        decisions = self._decisions.get(configuration, {})
        if configuration in self._stopped:
            if any(decision.failure is not None for decision in decisions.values()):
                return Seen(values, "broken")
            return Seen(values, "stopped", progress=_seen_at(chains[0], decisions.values()))
        if states == {WorkState.SUCCEEDED}:
            return Seen(values, "complete", outcome=self._standings.outcome(configuration, self._spec.search.goal))
        return Seen(values, "failed" if states <= {WorkState.SUCCEEDED, WorkState.FAILED} else "running")

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
        chains = self._standings.chains(configuration)
        if isinstance(entry, Proposal):
            self._proposals[configuration] = entry.values
            if entry.values is None:
                self._end(configuration, chains, Stop(entry.at_ms, "nothing else was left to try"))
            else:
                for chain in chains:
                    self._ledger.settle(with_configuration(self._spec, chain, entry.values))
            return
        self._decisions.setdefault(configuration, {})[Place(entry.stage, entry.epoch)] = entry
        if entry.goes_on:
            self._turns.append(Turn(chains, True))
        else:
            where = f"at epoch {entry.epoch} of stage {entry.stage + 1}"
            self._end(configuration, chains, Stop(entry.at_ms, f"{where}: {entry.reason}", entry.failure))

    def _end(self, configuration: ConfigurationId, chains: tuple[Chain, ...], stop: Stop) -> None:
        self._stopped.add(configuration)
        for chain in chains:
            self._ledger.stop(chain.id, stop)
        self._turns.append(Turn(chains, False))


def _seen_at(chain: Chain, decisions: Iterable[Decision]) -> dict[int, float]:
    """What was seen of a configuration, by the epochs of all its stages up to there."""
    before = {
        stage.index: sum(earlier.config.epochs for earlier in chain.train_stages[:number])
        for number, stage in enumerate(chain.train_stages)
    }
    return {before[each.stage] + each.epoch: each.value for each in decisions if each.value is not None}

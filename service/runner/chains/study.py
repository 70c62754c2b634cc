"""The search of an experiment: it proposes the next configuration, and decides which configurations continue.

It decides by the mean validation accuracy over all seeds of a configuration. At each rung, the chains of a
configuration wait for each other, and continue or stop together. Each decision is written to the journal before the
search acts on it.
"""

import time
from collections.abc import Callable, Iterator
from enum import Enum
from typing import assert_never

from service.failures import Failure
from service.plan import Chain, with_configuration
from service.runner.chains.board import Consequence, StageId
from service.runner.chains.journal import Decision, Entry, Proposal, StudyJournal
from service.runner.chains.ledger import ChainStop, Ledger
from service.runner.chains.proposing import Memory, Proposer
from service.runner.chains.standings import ConfigurationId, Rung, Standings, configuration_of
from service.search.stopping import judged
from service.spec import Experiment


class ChainVerdict(Enum):
    """The decision about a chain after an epoch."""

    GO_ON = "it continues"
    WAIT = "it frees its process until the configuration's other seeds have reached the same rung"
    STOP = "its configuration has been stopped"


class Study:
    """The search of one experiment.

    Args:
        spec: The experiment's spec.
        ledger: The committed state of all stages. The study records proposals and stops there.
        journal: The proposals and decisions so far.
        clock: Returns the time, in ms since 1970.
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
        self._memory = Memory()
        self._proposer = Proposer(spec, ledger, self._standings, self._memory)
        self._consequences: list[Consequence] = []
        self._read_on()

    # -- called by the campaign ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the decisions that an earlier driver did not make, in the order in which it would have made them."""
        while waiting := [(self._standings.reached_ms(each, rung), each, rung) for each, rung in self._undecided()]:
            _, configuration, rung = min(waiting)
            self._decide(configuration, rung)
        self._consequences.clear()  # the board is made after these decisions

    def ensure_proposed(self, chain_id: str) -> bool:
        """Give a chain its hyperparameters, if it has none; return False if nothing is left to try."""
        chain = self._ledger.chains[chain_id]
        configuration = configuration_of(chain)
        if chain.proposed:
            return True
        self._write(lambda: None if configuration in self._memory.proposals else self._proposal(configuration))
        return self._memory.proposals[configuration] is not None

    def verdict_on(self, stage: StageId) -> ChainVerdict:
        """Return whether a chain continues after the epoch that its stage has committed."""
        configuration = configuration_of(self._ledger.chains[stage.chain])
        self._decide_all(configuration)
        if configuration in self._memory.stopped:
            return ChainVerdict.STOP
        return ChainVerdict.WAIT if self.waits(stage.chain) else ChainVerdict.GO_ON

    def drop(self, chain_id: str) -> None:
        """Note that a chain has failed: the other chains of its configuration no longer wait for it."""
        self._decide_all(configuration_of(self._ledger.chains[chain_id]))

    def break_down(self, stage: StageId, failure: Failure) -> bool:
        """Stop a configuration that caused the failure of a trial; return False if its arm has no other configuration.

        In a search some configurations are expected to fail. If the arm has no other configuration, the chain fails.
        """
        chain = self._ledger.chains[stage.chain]
        configuration = configuration_of(chain)
        if not self._standings.are_several(chain.arm):
            return False
        last = self._ledger.progress(stage).last
        rung = Rung(stage.index, last.epoch if last else 0)
        reason = f"seed {chain.seed} failed: {failure.type}: {failure.message}"
        self._write(
            lambda: (
                None if configuration in self._memory.stopped else self._breakdown(configuration, rung, reason, failure)
            )
        )
        return True

    def waits(self, chain_id: str) -> bool:
        """Return whether a chain has reached a rung at which its configuration is not judged yet."""
        chain = self._ledger.chains[chain_id]
        known = self._memory.decisions.get(configuration_of(chain), {})
        return any(self._standings.is_at(chain, rung) and rung not in known for rung in self._standings.rungs(chain))

    def take_consequences(self) -> list[Consequence]:
        """Return the consequences of the decisions since the last call."""
        consequences, self._consequences = self._consequences, []
        return consequences

    # -- deciding ----------------------------------------------------------------------------------------------

    def _decide_all(self, configuration: ConfigurationId) -> None:
        while (rung := self._next_rung(configuration)) is not None:
            self._decide(configuration, rung)

    def _decide(self, configuration: ConfigurationId, rung: Rung) -> None:
        known = self._memory.decisions.setdefault(configuration, {})
        self._write(lambda: None if rung in known else self._judgement(configuration, rung))

    def _judgement(self, configuration: ConfigurationId, rung: Rung) -> Decision:
        assert self._spec.early_stopping is not None
        own = self._standings.history(configuration, rung)
        others = [
            self._standings.history(other, rung)
            for other, decisions in self._memory.decisions.items()
            if other.arm == configuration.arm and other != configuration and rung in decisions
        ]
        judgement = judged(self._spec.early_stopping, own, [each for each in others if each])
        return Decision(
            **configuration._asdict(),
            **rung._asdict(),
            goes_on=judgement.goes_on,
            reason=judgement.reason,
            at_ms=self._now(configuration),
            value=own[-1],
        )

    def _breakdown(self, configuration: ConfigurationId, rung: Rung, reason: str, failure: Failure) -> Decision:
        return Decision(
            **configuration._asdict(),
            **rung._asdict(),
            goes_on=False,
            reason=reason,
            at_ms=self._now(configuration),
            failure=failure,
        )

    def _now(self, configuration: ConfigurationId) -> int:
        """Return the time, but never a time before the end of a stage of the configuration.

        The clocks of nodes differ, and a stage that has ended must not count as stopped.
        """
        return max([self._clock(), *self._standings.ends_ms(configuration)])

    def _next_rung(self, configuration: ConfigurationId) -> Rung | None:
        if configuration in self._memory.stopped:
            return None
        return self._standings.next_rung(configuration, self._memory.decisions.get(configuration, {}))

    def _undecided(self) -> Iterator[tuple[ConfigurationId, Rung]]:
        for configuration in self._standings.configurations:
            if (rung := self._next_rung(configuration)) is not None:
                yield configuration, rung

    def _proposal(self, configuration: ConfigurationId) -> Proposal:
        values = self._proposer.propose(configuration)
        return Proposal(**configuration._asdict(), values=values, at_ms=self._clock())

    # -- the journal -------------------------------------------------------------------------------------------

    def _write(self, make: Callable[[], Entry | None]) -> None:
        """Write an entry to the journal and act on it. If another driver was faster, read its entry and make a new one.

        Args:
            make: Returns the entry; None if it is no longer needed.
        """
        while (entry := make()) is not None:
            if self._journal.append(entry):
                self._act_on(entry)
                return
            self._read_on()

    def _read_on(self) -> None:
        for entry in self._journal.news():
            self._act_on(entry)

    def _act_on(self, entry: Entry) -> None:
        configuration = ConfigurationId(entry.arm, entry.number)
        chains = self._standings.chains(configuration)
        match entry:
            case Proposal():
                self._memory.proposals[configuration] = entry.values
                if entry.values is None:
                    self._stop(configuration, chains, ChainStop(entry.at_ms, "nothing else was left to try"))
                    return
                for chain in chains:
                    self._ledger.set_proposed(with_configuration(self._spec, chain, entry.values))
            case Decision():
                self._memory.decisions.setdefault(configuration, {})[Rung(entry.stage, entry.epoch)] = entry
                if entry.goes_on:
                    self._consequences.append(Consequence(chains, goes_on=True))
                else:
                    reason = f"at epoch {entry.epoch} of stage {entry.stage + 1}: {entry.reason}"
                    self._stop(configuration, chains, ChainStop(entry.at_ms, reason, entry.failure))
            case _:
                assert_never(entry)

    def _stop(self, configuration: ConfigurationId, chains: tuple[Chain, ...], stop: ChainStop) -> None:
        self._memory.stopped.add(configuration)
        for chain in chains:
            self._ledger.record_stop(chain.id, stop)
        self._consequences.append(Consequence(chains, goes_on=False))

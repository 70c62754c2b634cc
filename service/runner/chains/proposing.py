"""The next configuration of a search by TPE, which follows from the search's journal and its chains' commits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.errors import SpecInvalid
from service.plan import Chain
from service.runner.chains.journal import Decision
from service.runner.chains.ledger import Ledger
from service.runner.chains.standings import ConfigurationId, Rung, Standings
from service.search.configurations import searched_spec
from service.search.learning import next_configuration
from service.search.seen import Seen
from service.spec import Experiment
from service.states import WorkState


@dataclass
class Memory:
    """The content of a search's journal so far.

    Attributes:
        proposals: The values of each configuration; None if nothing was left to try.
        decisions: The decisions about each configuration, by rung.
        stopped: The stopped configurations.
    """

    proposals: dict[ConfigurationId, Mapping[str, Any] | None] = field(default_factory=dict)
    decisions: dict[ConfigurationId, dict[Rung, Decision]] = field(default_factory=dict)
    stopped: set[ConfigurationId] = field(default_factory=set)


class Proposer:
    """Proposes the values of configurations.

    Args:
        spec: The experiment's spec.
        ledger: The committed state of all stages.
        standings: The progress of each configuration.
        memory: The content of the journal. The study adds each new entry.
    """

    def __init__(self, spec: Experiment, ledger: Ledger, standings: Standings, memory: Memory) -> None:
        self._spec, self._ledger, self._standings, self._memory = spec, ledger, standings, memory

    def propose(self, configuration: ConfigurationId) -> dict[str, Any] | None:
        """Return the values that a configuration tries; None if nothing is left to try."""
        assert self._spec.search is not None
        arm = next(index for index, each in enumerate(self._spec.arms) if each.name == configuration.arm)
        earlier = sorted(each for each in self._memory.proposals if each.arm == configuration.arm)
        seen = [self._seen(each, values) for each in earlier if (values := self._memory.proposals[each]) is not None]
        of_spec = searched_spec(self._spec)
        signatures = {of_spec.configured(arm, each.values).signature for each in seen}

        def is_new(values: Mapping[str, Any]) -> bool:
            try:
                return of_spec.configured(arm, values).signature not in signatures
            except SpecInvalid:
                return False

        return next_configuration(self._spec.search, of_spec.space(arm), configuration.arm, seen, is_new)

    def _seen(self, configuration: ConfigurationId, values: Mapping[str, Any]) -> Seen:
        assert self._spec.search is not None
        chains = self._standings.chains(configuration)
        states = {self._ledger.chain_state(chain) for chain in chains}
        decisions = self._memory.decisions.get(configuration, {}).values()
        if configuration in self._memory.stopped:
            if any(decision.failure is not None for decision in decisions):
                return Seen(values, "broken")
            return Seen(values, "stopped", progress=_progress(chains[0], decisions))
        if states == {WorkState.SUCCEEDED}:
            return Seen(values, "complete", outcome=self._standings.outcome(configuration, self._spec.search.goal))
        return Seen(values, "failed" if states <= {WorkState.SUCCEEDED, WorkState.FAILED} else "running")


def _progress(chain: Chain, decisions: Iterable[Decision]) -> dict[int, float]:
    """Return the validation accuracy at each decision about a configuration, by epoch since the chain's start."""
    before = {
        stage.index: sum(earlier.epochs for earlier in chain.train_stages[:number])
        for number, stage in enumerate(chain.train_stages)
    }
    return {before[each.stage] + each.epoch: each.value for each in decisions if each.value is not None}

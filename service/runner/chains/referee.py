"""The referee: it adds seeds until each pair of arms is decided, if the spec says so.

Seeds are looked at in numeric order. A seed decides with all seeds before it, and never with a later one. So a decision
depends neither on which chains end first nor on how often drivers are killed. Each decision is written to the journal
before the referee acts on it.
"""

import time
from collections.abc import Callable, Iterator

from service.plan import Chain
from service.runner.chains.board import Consequence, StageId
from service.runner.chains.journal import DecidedPair, PairJournal
from service.runner.chains.ledger import ChainStop, Ledger
from service.spec import Experiment
from service.spec.blocks import ArmPair
from service.states import WorkState
from service.statistics.anytime import first_possible_n
from service.statistics.until import SeedOutcome, StopGoal, decide_arms, in_order, stop_goal

TEST_ACCURACY = "test/accuracy"


class Referee:
    """Decides the pairs of one experiment; without `until` in its spec, it decides nothing and keeps nothing waiting.

    Args:
        spec: The experiment's spec.
        ledger: The committed state of all stages. The referee records there which chains are not needed.
        journal: The decisions so far.
        clock: Returns the time, in ms since 1970.
    """

    def __init__(
        self,
        spec: Experiment,
        ledger: Ledger,
        journal: PairJournal,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger, self._journal, self._clock = ledger, journal, clock
        self._ahead, self._pairs, self._goal = _rules(spec)
        # No fewer seeds decide anything, so these always run.
        self._least = first_possible_n(self._goal.alpha)
        # The chains of each arm in the order of their seeds, and the place of each chain there, from 0.
        self._chains: dict[str, list[Chain]] = {name: [] for pair in self._pairs for name in (pair.arm, pair.to)}
        self._places: dict[str, int] = {}
        for chain in ledger.chains.values():
            if (of_arm := self._chains.get(chain.arm)) is not None:
                self._places[chain.id] = len(of_arm)
                of_arm.append(chain)
        self._decided: dict[ArmPair, DecidedPair] = {}
        # How many seeds of each arm may run so far.
        self._open: dict[str, int] = dict.fromkeys(self._chains, 0)
        # The outcome of each chain that has succeeded.
        self._outcomes: dict[str, SeedOutcome] = {}
        self._consequences: list[Consequence] = []
        self._read_on()

    # -- called by the driver ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the decisions that an earlier driver did not make."""
        for pair in self._pairs:
            self._decide(pair)
        self._open_seeds()
        self._consequences.clear()  # the board is made after these decisions

    def chain_ended(self, chain: Chain) -> None:
        """Decide the pairs of a chain's arm, if it has succeeded, and let further seeds run."""
        if self._outcome(chain) is not None:
            for pair in self._pairs:
                if chain.arm in (pair.arm, pair.to):
                    self._decide(pair)
            self._open_seeds()

    def waits(self, chain: Chain) -> bool:
        """Return whether a chain must not start yet, because its seed is too far beyond the next one to decide."""
        place = self._places.get(chain.id)
        has_started = self._ledger.chain_state(chain) is not WorkState.WAITING
        return place is not None and not has_started and place >= self._open[chain.arm]

    def needs(self, chain: Chain) -> bool:
        """Return whether the answer needs a chain: a pair of its arm is undecided, or was decided with its seed."""
        place = self._places.get(chain.id)
        return place is None or self._is_open(chain.arm) or place < self._last_n(chain.arm)

    def take_consequences(self) -> list[Consequence]:
        """Return the consequences of the decisions since the last call."""
        consequences, self._consequences = self._consequences, []
        return consequences

    # -- which seeds run -----------------------------------------------------------------------------------------

    def _open_seeds(self) -> None:
        """Let the seeds run that the next decisions may need."""
        for arm, chains in self._chains.items():
            before, now = self._open[arm], self._num_open(arm)
            if now > before:
                self._open[arm] = now
                self._consequences.append(Consequence(tuple(chains[before:now]), goes_on=True))

    def _num_open(self, arm: str) -> int:
        """Return how many seeds of an arm may run: those that one of its undecided pairs may need next."""
        most = (self._num_complete(pair) + 1 + self._ahead for pair in self._undecided(arm))
        return max((max(num, self._least) for num in most), default=0)

    def _num_complete(self, pair: ArmPair) -> int:
        """Return how many seeds both arms have, up to the first seed that one of them lacks."""
        return len(in_order(*self._outcomes_of(pair)))

    # -- deciding ------------------------------------------------------------------------------------------------

    def _decide(self, pair: ArmPair) -> None:
        """Decide a pair, if it can be decided. If another driver was faster, its decision holds."""
        while pair not in self._decided and (entry := self._decision(pair)) is not None:
            if self._journal.append(entry):
                self._act_on(entry)
            else:
                self._read_on()

    def _decision(self, pair: ArmPair) -> DecidedPair | None:
        decision = decide_arms(*self._outcomes_of(pair), self._goal)
        if decision is None:
            return None
        return DecidedPair(
            arm=pair.arm,
            to=pair.to,
            n=decision.n,
            seed=self._chains[pair.arm][decision.n - 1].seed,
            verdict=decision.verdict,
            low=decision.low,
            high=decision.high,
            at_ms=self._now(pair),
        )

    def _outcomes_of(self, pair: ArmPair) -> tuple[Iterator[SeedOutcome | None], Iterator[SeedOutcome | None]]:
        """Return the outcomes of both arms, seed by seed; none is looked up before it is asked for."""
        return map(self._outcome, self._chains[pair.arm]), map(self._outcome, self._chains[pair.to])

    def _outcome(self, chain: Chain) -> SeedOutcome | None:
        """Return the outcome of a chain; None if it has not succeeded."""
        if (
            chain.id in self._places
            and chain.id not in self._outcomes
            and self._ledger.chain_state(chain) is WorkState.SUCCEEDED
        ):
            first, last = (self._ledger.progress(StageId(chain.id, chain.train_stages[end].index)) for end in (0, -1))
            assert last.last is not None, "a stage that has succeeded has committed its last epoch"
            weights = first.started[0].initial_sha256 if first.started else None
            self._outcomes[chain.id] = SeedOutcome(last.last.metrics[TEST_ACCURACY], weights)
        return self._outcomes.get(chain.id)

    def _now(self, pair: ArmPair) -> int:
        """Return the time, but never a time before the end of a stage of these arms.

        The clocks of nodes differ, and a stage that has ended must not count as stopped.
        """
        chains = [chain for name in (pair.arm, pair.to) for chain in self._chains[name]]
        ends = (
            self._ledger.progress(StageId(chain.id, stage.index)).done for chain in chains for stage in chain.stages
        )
        return max([self._clock(), *(done.at_ms for done in ends if done is not None)])

    # -- the journal ---------------------------------------------------------------------------------------------

    def _read_on(self) -> None:
        for entry in self._journal.news():
            self._act_on(entry)

    def _act_on(self, entry: DecidedPair) -> None:
        self._decided[ArmPair(arm=entry.arm, to=entry.to)] = entry
        for arm in (entry.arm, entry.to):
            if not self._is_open(arm):
                self._stop(arm, entry)

    def _stop(self, arm: str, entry: DecidedPair) -> None:
        """Stop the chains of an arm that its decisions did not need."""
        n = self._last_n(arm)
        reason = f"not needed: the pairs of {arm!r} were decided by seed {self._chains[arm][n - 1].seed}"
        for chain in self._chains[arm][n:]:
            self._ledger.record_stop(chain.id, ChainStop(entry.at_ms, reason, is_needless=True))
        stopped = (chain for chain in self._chains[arm][n:] if self._ledger.stop_of(chain) is not None)
        self._consequences.append(Consequence(tuple(stopped), goes_on=False))

    def _undecided(self, arm: str) -> list[ArmPair]:
        return [pair for pair in self._pairs if arm in (pair.arm, pair.to) and pair not in self._decided]

    def _is_open(self, arm: str) -> bool:
        return bool(self._undecided(arm))

    def _last_n(self, arm: str) -> int:
        """Return the largest number of seeds that a decision on a pair of the arm has used."""
        return max(entry.n for entry in self._decided.values() if arm in (entry.arm, entry.to))


def _rules(spec: Experiment) -> tuple[int, tuple[ArmPair, ...], StopGoal]:
    """Return how many seeds run ahead, the pairs to decide, and what is enough to decide one of them."""
    if spec.until is None:
        return 0, (), stop_goal(1, None, None)
    return spec.until.ahead, spec.pairs, stop_goal(len(spec.pairs), spec.margin, spec.until.half_width)

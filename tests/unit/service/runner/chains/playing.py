"""A search that is played without training: a formula computes the metrics that trials would commit.

A player uses a board and a study like a driver. A test can leave it after any step, as if a driver was killed. The next
player starts from the files on storage.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.failures import Failure
from service.plan import Chain, plan
from service.runner.chains.board import Answer, Board, StageId
from service.runner.chains.bookkeeping import make_board
from service.runner.chains.event_file import EventFile
from service.runner.chains.journal import Entry, PairJournal, StudyJournal
from service.runner.chains.ledger import Ledger
from service.runner.chains.referee import Referee
from service.runner.chains.study import ChainVerdict, Study
from service.runner.commits.attempt import Attempt
from service.runner.commits.records import EndState
from service.runner.tuning.room import max_open
from service.spec import Experiment
from service.states import WorkState
from service.storage import ExperimentFolder
from tests.unit.service.runner.writing import METRICS, begin

ACCURACIES = ("val/accuracy", "test/accuracy")
# Gives the accuracies of a chain after an epoch, from the chain and the epoch's number.
Formula = Callable[[Chain, int], float]


def accuracy(chain: Chain, epoch: int) -> float:
    """Return an accuracy that grows with the epochs, is higher for lr near 0.01, and differs a little between seeds."""
    distance = abs(math.log10(float(chain.hyperparameters.get("optimizer.lr", 1e-3)) / 0.01))
    return round((1 - math.exp(-epoch / 3)) * math.exp(-distance) * (1 - 0.01 * chain.seed), 6)


@dataclass
class Player:
    """One driver, which plays until nothing is left to run."""

    spec: Experiment
    folder: ExperimentFolder
    number: int
    slots: int = 1
    formula: Formula = accuracy
    # Chooses which of the running trials commits its next epoch, given how many run.
    choose: Callable[[int], int] = lambda running: 0
    # Returns the failure with which each stage of a chain ends; None: it succeeds.
    failure_of: Callable[[Chain], Failure | None] = lambda chain: None
    weights_of: Callable[[Chain], str] = lambda chain: "aa"
    generation: int = 1

    def __post_init__(self) -> None:
        self.folder.driver(self.number).mkdir(parents=True)
        self.events = EventFile(self.folder.events(self.number))
        self.ledger = Ledger(self.folder, plan(self.spec), self.events, self.generation)
        self.study = Study(self.spec, self.ledger, StudyJournal(self.folder.search), itertools.count(1).__next__)
        self.study.begin()
        # The time of the ends of stages and of the referee. Later drivers start later.
        self.tick = itertools.count(self.number * 100_000).__next__
        self.referee = Referee(self.spec, self.ledger, PairJournal(self.folder.decided), self.tick)
        self.referee.begin()
        self.ledger.announce_all()
        self.board: Board = make_board(self.ledger, self.study, self.referee)
        self.board.limit_open(max_open(self.spec, slots=1))

    def play(self) -> Iterator[str]:
        """Play; yield a text after each step."""
        running: list[tuple[StageId, Attempt]] = []
        while True:
            while len(running) < self.slots:
                stage = self.board.take()
                if not isinstance(stage, StageId):
                    break
                yield f"taken {stage}"
                if not self.study.ensure_proposed(stage.chain):
                    self._apply()
                    self.board.lost(stage)
                    continue
                yield f"proposed {stage}"
                running.append((stage, self._begin(stage)))
            if not running:
                assert self.board.take() is Answer.FINISHED
                assert self.board.over
                self.events.close()
                return
            stage, attempt = running.pop(self.choose(len(running)))
            yield from self._epoch(stage, attempt, running)

    def _begin(self, stage: StageId) -> Attempt:
        weights = self.weights_of(self.ledger.chains[stage.chain])
        return begin(self.folder.stage(stage.chain, stage.index), weights, generation=self.generation)

    def _epoch(self, stage: StageId, attempt: Attempt, running: list[tuple[StageId, Attempt]]) -> Iterator[str]:
        chain = self.ledger.chains[stage.chain]
        epochs = chain.stages[stage.index].config.epochs
        last = self.ledger.refresh(stage).last
        epoch = min((last.epoch if last else 0) + 1, epochs)  # at most the last one: only the marker may be missing
        before = sum(earlier.config.epochs for earlier in chain.stages[: stage.index])
        metrics = METRICS | dict.fromkeys(ACCURACIES, self.formula(chain, before + epoch))
        if last is None or epoch > last.epoch:
            attempt.commit(epoch=epoch, epochs=epochs, at_ms=epoch, metrics=metrics, weights_sha256="00")
        yield f"committed {stage} {epoch}"
        self.ledger.refresh(stage)
        verdict = ChainVerdict.STOP if self.ledger.stop_of(chain) else self.study.verdict_on(stage)
        self._apply()
        if verdict is ChainVerdict.WAIT:
            self.board.hold(stage.chain)
        yield f"decided {stage} {epoch}"
        if epoch == epochs:
            yield from self._end(stage, attempt)
        elif verdict is ChainVerdict.GO_ON:
            running.append((stage, attempt))
        else:
            self.board.lost(stage)

    def _end(self, stage: StageId, attempt: Attempt) -> Iterator[str]:
        chain = self.ledger.chains[stage.chain]
        failure = self.failure_of(chain)
        state: EndState = WorkState.SUCCEEDED if failure is None else WorkState.FAILED
        attempt.finish(state=state, at_ms=self.tick(), failure=failure)
        yield f"ended {stage}"
        done = self.ledger.refresh(stage).done
        if done is not None and done.state is WorkState.SUCCEEDED:
            self.board.succeeded(stage)
            self.referee.chain_ended(chain)
        elif done is not None and done.state is WorkState.FAILED:
            self.board.failed_for_good(stage)
        else:
            self.board.lost(stage)
        self._apply()

    def _apply(self) -> None:
        for consequence in [*self.study.take_consequences(), *self.referee.take_consequences()]:
            for chain in consequence.chains:
                (self.board.release if consequence.goes_on else self.board.stop)(chain.id)


def entries(folder: ExperimentFolder) -> list[Entry]:
    """Return all proposals and decisions, with their times set to 0."""
    return [entry.model_copy(update={"at_ms": 0}) for entry in StudyJournal(folder.search).news()]


def played(spec: Experiment, folder: ExperimentFolder, slots: int = 1, kill_after: Iterator[int] | None = None) -> int:
    """Play a search to its end; return how many drivers it took.

    Args:
        spec: The experiment's spec.
        folder: The experiment's folder.
        slots: How many trials run at once.
        kill_after: For each driver in turn, the number of steps after which it is killed. Drivers beyond these are not
            killed.
    """
    for number in itertools.count(1):
        player = Player(spec, folder, number, slots)
        steps = next(kill_after, None) if kill_after is not None else None
        for step, _ in enumerate(player.play()):
            if steps is not None and step >= steps:
                player.events.close()
                break
        else:
            return number
    raise AssertionError("unreachable")

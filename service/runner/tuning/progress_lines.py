"""The lines about an experiment's progress in the driver's log, which Ray's dashboard shows on the job's page."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from service.pace import Pace, duration
from service.plan import Chain, StagePlan
from service.runner.chains.board import StageId
from service.runner.chains.ledger import Ledger
from service.runner.commits.reading import StageProgress, read_started
from service.runner.shipping.run_content import stage_label
from service.spec.search import Search
from service.states import WorkState

log = logging.getLogger(__name__)

# The time, in s, from one line to the next: this at first, later the given part of the time since the first line, so
# that the log of a long experiment stays short, but never more than MAX_INTERVAL_S.
MIN_INTERVAL_S = 5.0
MAX_INTERVAL_S = 60.0
PART_OF_ELAPSED = 0.01
# A line about 100,000 chains takes a noticeable time to make. The interval is at least so many times as long.
TIMES_COST = 200.0
# The number of running trials that a line names; the others are counted.
NUM_NAMED = 4


class ProgressLines:
    """Logs at intervals how far an experiment is.

    Args:
        ledger: The committed state of all stages.
        search: The spec's search. It may stop chains, so the time left is an upper limit.
        clock: A monotonic clock, in s.
        write: Takes each line.
    """

    def __init__(
        self,
        ledger: Ledger,
        search: Search | None,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], None] = log.info,
    ) -> None:
        self._ledger, self._clock, self._write = ledger, clock, write
        self._limit = "" if search is None else "at most "
        self._pace = Pace(clock)
        self._running: dict[StageId, None] = {}
        self._began, self._next = clock(), 0.0

    def began(self, stage: StageId) -> None:
        """Note that a trial of a stage runs."""
        self._running[stage] = None

    def ended(self, stage: StageId) -> None:
        """Note that a trial has ended."""
        self._running.pop(stage, None)

    def look(self) -> None:
        """Log a line if it is time for the next one."""
        now = self._clock()
        if now < self._next:
            return
        self._write(self.line())
        interval_s = min(max(MIN_INTERVAL_S, PART_OF_ELAPSED * (now - self._began)), MAX_INTERVAL_S)
        self._next = now + max(interval_s, TIMES_COST * (self._clock() - now))

    def line(self) -> str:
        """Return the progress in one line: epochs, rows and chains done, the time left, and what runs where."""
        counts = _Counts()
        for chain in self._ledger.chains.values():
            self._count(counts, chain)
        left_s = self._pace.left_s("", counts.work, counts.work + counts.work_left, running=bool(self._running))
        left = [] if left_s is None else [f"{self._limit}{duration(left_s)} left"]
        return "; ".join([*counts.in_words(), *left, self._running_in_words()])

    def _count(self, counts: "_Counts", chain: Chain) -> None:
        state = self._ledger.chain_state(chain)
        counts.chains[state] = counts.chains.get(state, 0) + 1
        is_over = state not in (WorkState.WAITING, WorkState.RUNNING)
        for stage in chain.stages:
            last = self._ledger.progress(StageId(chain.id, stage.index)).last
            counts.add(stage, 0 if last is None else last.epoch, is_over=is_over)

    def _running_in_words(self) -> str:
        if not self._running:
            return "nothing runs"
        named = [self._named(stage) for stage in list(self._running)[:NUM_NAMED]]
        more = len(self._running) - len(named)
        return f"running: {', '.join(named)}" + (f" and {more} more" if more else "")

    def _named(self, stage_id: StageId) -> str:
        chain = self._ledger.chains[stage_id.chain]
        stage, progress = chain.stages[stage_id.index], self._ledger.progress(stage_id)
        epoch = 0 if progress.last is None else progress.last.epoch
        return f"{stage_label(chain, stage)} ({epoch}/{stage.epochs}{_where(progress)})"


def _where(progress: StageProgress) -> str:
    """Return where the newest attempt at a stage runs, in words; empty if its start record cannot be read yet."""
    with suppress(OSError, ValueError):
        started = read_started(progress.folder)
        if started and len(started) == len(progress.folder.attempt_numbers()):
            return f" on {started[-1].host}"
    return ""


class _Counts:
    """What is done, and how much of the whole: epochs, rows of analyses, and chains by their state."""

    def __init__(self) -> None:
        self.done, self.total = {"epochs": 0, "rows": 0}, {"epochs": 0, "rows": 0}
        # In epochs and rows, times T: an epoch takes about T times as long at T time steps.
        self.work = self.work_left = 0
        self.chains: dict[WorkState, int] = {}

    def add(self, stage: StagePlan, epoch: int, *, is_over: bool) -> None:
        """Count a stage with `epoch` committed epochs or rows; of a chain that is over, nothing is left."""
        unit, weight = ("epochs" if stage.is_train else "rows"), stage.T or 1
        self.done[unit] += epoch
        self.total[unit] += stage.epochs
        self.work += epoch * weight
        self.work_left += 0 if is_over else (stage.epochs - epoch) * weight

    def in_words(self) -> list[str]:
        """Return the counts: "12/40 epochs", "1/4 chains succeeded"."""
        words = [f"{self.done[unit]}/{total} {unit}" for unit, total in self.total.items() if total]
        num_chains, ended = sum(self.chains.values()), (WorkState.FAILED, WorkState.STOPPED)
        words.append(f"{self.chains.get(WorkState.SUCCEEDED, 0)}/{num_chains} chains succeeded")
        return [*words, *(f"{num} {state}" for state in ended if (num := self.chains.get(state)))]

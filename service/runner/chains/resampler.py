"""The resampler: it resamples the pairs of arms over seeds and test samples, and announces each result as an event.

It announces a pair when all chains of both arms have ended. It does so for one pair at a time and at intervals, because
it takes time. When the experiment ends, it announces all pairs that are left. A result follows from the commits alone,
so the next driver may announce it again. An experiment never fails because of it: an error is part of the event.
"""

import logging
from collections.abc import Callable, Container

from service.events import PairResampled
from service.plan import Chain
from service.resampled_pairs import PairToResample, ResampledPair, resample, without_result
from service.results.pairs_to_resample import lacking, pairs_to_resample
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import Ledger
from service.runner.chains.outcomes_so_far import outcomes_so_far
from service.runner.sparing import Sparing
from service.spec import Experiment
from service.states import WorkState
from service.storage import ExperimentFolder

log = logging.getLogger(__name__)


class Resampler:
    """Resamples the pairs of one experiment. The outbox reads `known` in another thread.

    Args:
        spec: The experiment's spec.
        ledger: The committed state of all stages.
        folder: The experiment's folder.
        events: The driver's event file.
    """

    def __init__(self, spec: Experiment, ledger: Ledger, folder: ExperimentFolder, events: EventFile) -> None:
        self._spec, self._ledger, self._folder, self._events = spec, ledger, folder, events
        self._open = [(pair.arm, pair.to) for pair in spec.pairs]
        # The chains of each arm that may not have ended. An end is final, so each chain is left out once.
        self._running: dict[str, list[Chain]] = {arm.name: [] for arm in spec.arms}
        for chain in reversed(ledger.chains.values()):
            self._running[chain.arm].append(chain)
        self._known: dict[tuple[str, str], ResampledPair] = {}
        self._sparing = Sparing(interval_s=0)

    @property
    def known(self) -> tuple[ResampledPair, ...]:
        """The pairs that this driver has resampled."""
        return tuple(self._known.values())

    def look(self) -> None:
        """Resample one pair whose chains have all ended, if that is due: the driver has other work in between."""
        complete = next((pair for pair in self._open if all(map(self._has_ended, pair))), None)
        if complete is not None and self._sparing.is_due():
            self._open.remove(complete)
            self._resample([complete], lambda: False)
            self._sparing.done()

    def finish(self, is_hurried: Callable[[], bool]) -> None:
        """Resample all pairs that are left, over the seeds that have ended.

        Args:
            is_hurried: Returns whether the driver must end now.
        """
        self._resample([(pair.arm, pair.to) for pair in self._spec.pairs], is_hurried)

    def _has_ended(self, arm: str) -> bool:
        running = self._running[arm]
        while running and self._ledger.chain_state(running[-1]) not in (WorkState.WAITING, WorkState.RUNNING):
            running.pop()
        return not running

    def _resample(self, names: Container[tuple[str, str]], is_hurried: Callable[[], bool]) -> None:
        if is_hurried():
            return
        try:
            pairs = lacking(pairs_to_resample(self._spec, outcomes_so_far(self._ledger)), self.known)
        except Exception:  # nothing depends on the intervals
            log.exception("the pairs of arms cannot be resampled")
            return
        for pair in pairs:
            if is_hurried():
                return
            if (pair.arm, pair.to) in names:
                self._announce(self._resampled(pair))

    def _resampled(self, pair: PairToResample) -> ResampledPair:
        try:
            found = resample(pair, self._folder)
        except Exception as problem:  # whatever it is
            log.exception("%s minus %s cannot be resampled", pair.arm, pair.to)
            return without_result(pair, f"{type(problem).__name__}: {problem}")
        if found.error:
            log.warning("%s minus %s cannot be resampled: %s", pair.arm, pair.to, found.error)
        return found

    def _announce(self, pair: ResampledPair) -> None:
        self._known = {**self._known, (pair.arm, pair.to): pair}
        event = PairResampled(arm=pair.arm, to=pair.to, seeds=[*pair.seeds], result=pair.result, error=pair.error)
        self._events.append(event)

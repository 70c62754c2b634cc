"""The rows of a ledger from which the results of an ended experiment are computed: `service.results.ResultRows`.

They are what the database has once the reconciler has read this driver's events: the same numbers, rounded alike.
"""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from functools import cache
from math import isfinite

from service.chain_outcomes import ChainOutcome, CurvesOfStage
from service.curves import as_text, from_text, summary_of, unpacked
from service.failures import FailureCount
from service.plan import Chain, StagePlan
from service.resampled_pairs import ResampledPair
from service.results.failure_groups import counted_failures
from service.runner.chains.board import StageId
from service.runner.chains.ledger import Ledger
from service.runner.chains.outcomes_so_far import outcomes_so_far
from service.runner.commits.reading import StageProgress
from service.states import WorkState

# In an experiment that has ended, chains in these states count as cancelled.
_UNFINISHED = (WorkState.WAITING, WorkState.RUNNING)


class LedgerRows:
    """The chains and stages of an experiment that has ended.

    Args:
        ledger: The committed state of all stages. It does not change any more.
        resampled: The pairs that were resampled over test samples.
    """

    def __init__(self, ledger: Ledger, resampled: Sequence[ResampledPair]) -> None:
        self._ledger, self._resampled = ledger, resampled
        # A report asks for each of these several times.
        self.outcomes = cache(self._read_outcomes)
        self._summaries = cache(self._read_summaries)
        self._curves: dict[StageId, CurvesOfStage] = {}

    def _read_outcomes(self, also: str | None = None) -> list[ChainOutcome]:
        found = outcomes_so_far(self._ledger, also)
        return [replace(each, state=WorkState.CANCELLED) if each.state in _UNFINISHED else each for each in found]

    def hashes(self) -> dict[str, tuple[str | None, str | None]]:
        """Return the hashes of each chain's first and last weights, by the chain's id."""
        found: dict[str, tuple[str | None, str | None]] = {}
        for chain, stage, progress in self._stages():
            if stage.is_train:
                initial = progress.started[0].initial_sha256 if progress.started else None
                last = progress.last.weights_sha256 if progress.last else None
                found[chain.id] = (found[chain.id][0] if chain.id in found else initial, last)
        return found

    def last_rows(self, kind: str, metric: str) -> dict[str, float | None]:
        """Return a metric of the newest row of each chain's last succeeded analysis of a kind, by the chain's id."""
        found: dict[str, float | None] = {}
        for chain, stage, progress in self._stages():
            has_succeeded = progress.done is not None and progress.done.state is WorkState.SUCCEEDED
            if stage.kind == kind and has_succeeded and progress.last is not None:
                value = progress.last.metrics.get(metric)
                found[chain.id] = value if value is not None and isfinite(value) else None
        return found

    def summaries(self, name: str) -> dict[tuple[str, int], float]:
        """Return one value of the summaries of all trainings that have it, by chain and index."""
        return {key: summary[name] for key, summary in self._summaries().items() if name in summary}

    def _read_summaries(self) -> dict[tuple[str, int], dict[str, float]]:
        return {
            (chain.id, stage.index): summary_of(progress.commits)
            for chain, stage, progress in self._stages()
            if stage.is_train and progress.done is not None
        }

    def curves(self, *, kind: str | None = None, chains: Container[str] | None = None) -> Iterator[CurvesOfStage]:
        """Yield the curves of ended stages in the plan's order; None: of every kind, or of all chains."""
        for chain, stage, progress in self._stages():
            is_asked = (kind is None or stage.kind == kind) and (chains is None or chain.id in chains)
            if is_asked and progress.done is not None and progress.commits:
                key = StageId(chain.id, stage.index)
                if key not in self._curves:
                    self._curves[key] = _curves_of(chain, stage, progress)
                yield self._curves[key]

    def curve_errors(self) -> list[tuple[str, int]]:
        """Return why stages have no curves, each text with the number of its stages; the most frequent first."""
        counts = Counter(self._ledger.curve_errors())
        return sorted(counts.items(), key=lambda each: (-each[1], each[0]))

    def resampled(self) -> Sequence[ResampledPair]:
        """Return the pairs that were resampled over test samples."""
        return self._resampled

    def failures(self, limit: int) -> list[FailureCount]:
        """Return the different failures of stages, the most frequent first."""
        failures = (
            (chain.id, progress.done.failure.summary)
            for chain, _, progress in self._stages()
            if progress.done is not None and progress.done.failure is not None
        )
        return counted_failures(failures, limit)

    def _stages(self) -> Iterator[tuple[Chain, StagePlan, StageProgress]]:
        for chain in self._ledger.chains.values():
            for stage in chain.stages:
                yield chain, stage, self._ledger.progress(StageId(chain.id, stage.index))


def _curves_of(chain: Chain, stage: StagePlan, progress: StageProgress) -> CurvesOfStage:
    """Return a stage's curves as the database has them: packed, which rounds, and unpacked."""
    curves, error = None, ""
    try:
        curves = unpacked(from_text(as_text(stage.kind, progress.commits, progress.folder)))
    except (OSError, ValueError) as problem:  # the ledger has logged it
        error = f"{type(problem).__name__}: {problem}"
    return CurvesOfStage(
        chain=chain.id,
        arm=chain.arm,
        seed=chain.seed,
        configuration=chain.number,
        index=stage.index,
        kind=stage.kind,
        T=stage.T,
        curves=curves,
        error=error,
    )

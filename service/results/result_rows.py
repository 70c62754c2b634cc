"""The rows from which results are computed: those of the database, or those of a driver's ledger and stage folders."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Protocol

from service.chain_outcomes import ChainOutcome, CurvesOfStage
from service.failures import FailureCount
from service.resampled_pairs import ResampledPair


class ResultRows(Protocol):
    """The chains and stages of one experiment."""

    def outcomes(self, also: str | None = None) -> Sequence[ChainOutcome]:
        """Return all chains in the plan's order; `also` is a further metric to read."""

    def hashes(self) -> Mapping[str, tuple[str | None, str | None]]:
        """Return the hashes of each chain's first and last weights, by the chain's id."""

    def last_rows(self, kind: str, metric: str) -> Mapping[str, float | None]:
        """Return a metric of the newest row of each chain's last succeeded analysis of a kind, by the chain's id."""

    def summaries(self, name: str) -> Mapping[tuple[str, int], float]:
        """Return one value of the summaries of all stages that have it, by chain and index."""

    def curves(self, *, kind: str | None = None, chains: Container[str] | None = None) -> Iterator[CurvesOfStage]:
        """Yield the curves of ended stages in the plan's order; None: of every kind, or of all chains."""

    def curve_errors(self) -> Sequence[tuple[str, int]]:
        """Return why stages have no curves, each text with the number of its stages; the most frequent first."""

    def resampled(self) -> Sequence[ResampledPair]:
        """Return the pairs that were resampled over test samples."""

    def failures(self, limit: int) -> Sequence[FailureCount]:
        """Return the different failures of stages, the most frequent first."""

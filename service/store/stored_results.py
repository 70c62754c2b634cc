"""The rows of the database from which the results of an experiment are computed: `service.results.ResultRows`."""

from collections.abc import Container, Iterator, Sequence

from service.chain_outcomes import ChainOutcome, CurvesOfStage
from service.failures import FailureCount
from service.resampled_pairs import ResampledPair
from service.store.repository import Repository


class StoredResults:
    """The chains and stages of one experiment, read in one transaction.

    Args:
        repository: The open transaction.
        experiment_id: The experiment's id.
    """

    def __init__(self, repository: Repository, experiment_id: str) -> None:
        self._repository, self._id = repository, experiment_id

    def outcomes(self, also: str | None = None) -> Sequence[ChainOutcome]:
        """Return all chains; see `Outcomes.of`."""
        return self._repository.outcomes.of(self._id, also)

    def hashes(self) -> dict[str, tuple[str | None, str | None]]:
        """Return the hashes of each chain's first and last weights."""
        return self._repository.outcomes.hashes(self._id)

    def last_rows(self, kind: str, metric: str) -> dict[str, float | None]:
        """Return a metric of the last row of each chain's analysis; see `Outcomes.last_rows`."""
        return self._repository.outcomes.last_rows(self._id, kind, metric)

    def summaries(self, name: str) -> dict[tuple[str, int], float]:
        """Return one value of the summaries of all stages that have it."""
        return self._repository.curves.summaries(self._id, name)

    def curves(self, *, kind: str | None = None, chains: Container[str] | None = None) -> Iterator[CurvesOfStage]:
        """Yield the stored curves; see `StoredCurves.of`."""
        return self._repository.curves.of(self._id, kind=kind, chains=chains)

    def curve_errors(self) -> list[tuple[str, int]]:
        """Return why stages have no curves; see `StoredCurves.errors`."""
        return self._repository.curves.errors(self._id)

    def resampled(self) -> list[ResampledPair]:
        """Return the pairs that were resampled over test samples."""
        return self._repository.resampled.of(self._id)

    def failures(self, limit: int) -> list[FailureCount]:
        """Return the different failures of stages; see `Sums.failures`."""
        return self._repository.sums.failures(self._id, limit)

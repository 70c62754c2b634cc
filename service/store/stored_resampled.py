"""Queries about the resampled pairs of arms."""

from collections.abc import Collection

from pydantic import TypeAdapter
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.resampled_pairs import ResampledPair
from service.states import TERMINAL
from service.statistics.resampling import ResampledDifference
from service.store.tables import ExperimentRow, ResampledPairRow

_RESULT: TypeAdapter[ResampledDifference] = TypeAdapter(ResampledDifference)


class StoredResampled:
    """The resampled pairs of experiments: of each pair one result."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, experiment_id: str, pair: ResampledPair) -> None:
        """Store a resampled pair, in place of an earlier one that rests on no more seeds.

        The line of an older driver may be read late: it must not replace what a newer one has stated. An error replaces
        no result over the same seeds.
        """
        known = self._session.get(ResampledPairRow, (experiment_id, pair.arm, pair.to))
        if known is not None and _is_older(pair, known):
            return
        result = None if pair.result is None else _RESULT.dump_python(pair.result, mode="json")
        key = {"experiment_id": experiment_id, "arm": pair.arm, "to": pair.to}
        self._session.merge(ResampledPairRow(**key, seeds=[*pair.seeds], result=result, error=pair.error))

    def of(self, experiment_id: str) -> list[ResampledPair]:
        """Return all resampled pairs of an experiment."""
        query = select(ResampledPairRow).where(ResampledPairRow.experiment_id == experiment_id)
        return [
            ResampledPair(
                row.arm,
                row.to,
                tuple(row.seeds),
                None if row.result is None else _RESULT.validate_python(row.result),
                row.error,
            )
            for row in self._session.scalars(query.order_by(ResampledPairRow.arm, ResampledPairRow.to))
        ]

    # -- experiments that have ended and may lack resampled pairs ---------------------------------------------------

    def to_fill(self, limit: int, without: Collection[str] = ()) -> list[str]:
        """Return at most `limit` ids of experiments that have ended and whose resampled pairs may be missing."""
        ended = ExperimentRow.state.in_(TERMINAL), ExperimentRow.has_resampled.is_(False)
        query = select(ExperimentRow.id).where(*ended, ExperimentRow.id.not_in(without)).order_by(ExperimentRow.id)
        return list(self._session.scalars(query.limit(limit)))

    def filled(self, experiment_id: str, generation: int) -> None:
        """Note that the resampled pairs of an experiment are stored, as far as they can be computed.

        Args:
            experiment_id: The experiment's id.
            generation: The generation that was filled in. If a later one has begun, nothing is noted.
        """
        row = ExperimentRow.id == experiment_id, ExperimentRow.generation == generation
        self._session.execute(update(ExperimentRow).where(*row).values(has_resampled=True))


def _is_older(pair: ResampledPair, known: ResampledPairRow) -> bool:
    is_worse = pair.result is None and known.result is not None and [*pair.seeds] == known.seeds
    return is_worse or len(pair.seeds) < len(known.seeds)

"""Queries about the curves of stages."""

from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass

from sqlalchemy import and_, func, select, update
from sqlalchemy.orm import Session

from service.chain_outcomes import CurvesOfStage
from service.curves import unpacked
from service.states import DONE, TERMINAL
from service.store.tables import ChainRow, CurvesRow, ExperimentRow, StageRow


@dataclass(frozen=True)
class EndedStage:
    """A stage that has ended, whose curves are not stored."""

    chain: str
    index: int
    kind: str


class StoredCurves:
    """The curves of the stages of experiments."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, experiment_id: str, chain: str, index: int, packed: bytes | None, error: str) -> None:
        """Store the packed curves of a stage, in place of earlier ones. Damaged ones are left out, with the error."""
        summary: dict[str, float] = {}
        try:
            summary = {} if packed is None else dict(unpacked(packed).summary)
        except ValueError as problem:
            packed, error = None, f"{type(problem).__name__}: {problem}"
        key = {"experiment_id": experiment_id, "chain_id": chain, "index": index}
        self._session.merge(CurvesRow(**key, packed=packed, summary=summary, error=error))

    def summaries(self, experiment_id: str, name: str) -> dict[tuple[str, int], float]:
        """Return one value of the summaries of all stages that have it, by chain and index."""
        value = CurvesRow.summary[name].as_float()
        query = select(CurvesRow.chain_id, CurvesRow.index, value).where(CurvesRow.experiment_id == experiment_id)
        return {(chain, index): found for chain, index, found in self._session.execute(query) if found is not None}

    def errors(self, experiment_id: str) -> list[tuple[str, int]]:
        """Return why stages have no curves, each text with the number of its stages; the most frequent first."""
        number = func.count().label("number")
        query = select(CurvesRow.error, number).where(CurvesRow.experiment_id == experiment_id, CurvesRow.error != "")
        found = self._session.execute(query.group_by(CurvesRow.error).order_by(number.desc(), CurvesRow.error))
        return [(error, count) for error, count in found]

    def of(
        self, experiment_id: str, *, kind: str | None = None, chains: Container[str] | None = None
    ) -> Iterator[CurvesOfStage]:
        """Yield the stored curves in the plan's order.

        Args:
            experiment_id: The experiment's id.
            kind: Selects the curves of one kind of stage; None: of every kind.
            chains: Selects the curves of these chains, by their ids; None: of all.
        """
        stage = and_(
            StageRow.experiment_id == CurvesRow.experiment_id,
            StageRow.chain_id == CurvesRow.chain_id,
            StageRow.index == CurvesRow.index,
        )
        chain = and_(ChainRow.experiment_id == CurvesRow.experiment_id, ChainRow.id == CurvesRow.chain_id)
        columns = ChainRow.id, ChainRow.arm, ChainRow.seed, ChainRow.configuration, StageRow.index, StageRow.kind
        query = (
            select(*columns, StageRow.T, CurvesRow.packed, CurvesRow.error)
            .join(StageRow, stage)
            .join(ChainRow, chain)
            .where(CurvesRow.experiment_id == experiment_id)
            .order_by(ChainRow.position, StageRow.index)
        )
        if kind is not None:
            query = query.where(StageRow.kind == kind)
        for row in self._session.execute(query):
            chain_id, arm, seed, number, index, of_kind, T, packed, error = row
            if chains is not None and chain_id not in chains:
                continue
            curves = None if packed is None else unpacked(packed)
            yield CurvesOfStage(chain_id, arm, seed, number, index, of_kind, T, curves, error)

    # -- experiments that have ended and may lack curves ------------------------------------------------------------

    def to_fill(self, limit: int, without: Collection[str] = ()) -> list[str]:
        """Return at most `limit` ids of experiments that have ended and whose curves may be missing."""
        ended = ExperimentRow.state.in_(TERMINAL), ExperimentRow.has_curves.is_(False)
        query = select(ExperimentRow.id).where(*ended, ExperimentRow.id.not_in(without)).order_by(ExperimentRow.id)
        return list(self._session.scalars(query.limit(limit)))

    def missing(self, experiment_id: str) -> list[EndedStage]:
        """Return the ended stages of an experiment that have commits, and no curves or only an error."""
        curves = and_(
            CurvesRow.experiment_id == StageRow.experiment_id,
            CurvesRow.chain_id == StageRow.chain_id,
            CurvesRow.index == StageRow.index,
        )
        query = (
            select(StageRow.chain_id, StageRow.index, StageRow.kind)
            .outerjoin(CurvesRow, curves)
            .where(StageRow.experiment_id == experiment_id, CurvesRow.packed.is_(None))
            .where(StageRow.state.in_(DONE), StageRow.epoch > 0)
            .order_by(StageRow.chain_id, StageRow.index)
        )
        return [EndedStage(*found) for found in self._session.execute(query)]

    def filled(self, experiment_id: str, generation: int) -> None:
        """Note that the curves of an experiment are stored, as far as they exist.

        Args:
            experiment_id: The experiment's id.
            generation: The generation that was filled in. If a later one has begun, nothing is noted.
        """
        row = ExperimentRow.id == experiment_id, ExperimentRow.generation == generation
        self._session.execute(update(ExperimentRow).where(*row).values(has_curves=True))

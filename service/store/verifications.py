"""Verifications: replays of stages that users ask for."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.events import utc_now
from service.states import VerificationState
from service.store.experiment_queries import Experiments
from service.store.tables import VerificationRow

_OPEN = (VerificationState.QUEUED, VerificationState.RUNNING)


class Verifications:
    """Replays of stages."""

    def __init__(self, session: Session, experiments: Experiments) -> None:
        self._session, self._experiments = session, experiments

    def add(self, experiment_id: str, chain_id: str, stage: int) -> VerificationRow:
        """Ask for a replay; return the earlier one if the same replay was asked for and has not ended."""
        self._experiments.get(experiment_id, lock=True)
        for row in self.page(experiment_id):
            if (row.chain_id, row.stage) == (chain_id, stage) and row.state in _OPEN:
                return row
        newest = select(func.max(VerificationRow.number)).where(VerificationRow.experiment_id == experiment_id)
        number = 1 + (self._session.scalar(newest) or 0)
        row = VerificationRow(
            experiment_id=experiment_id,
            number=number,
            chain_id=chain_id,
            stage=stage,
            created_at=utc_now(),
            state=VerificationState.QUEUED,
            reason="",
            job_attempt=1,
        )
        self._session.add(row)
        self._session.flush()
        return row

    def page(self, experiment_id: str, *, after: int = 0, limit: int | None = None) -> list[VerificationRow]:
        """Return an experiment's verifications after number `after`, oldest first."""
        query = select(VerificationRow).where(
            VerificationRow.experiment_id == experiment_id, VerificationRow.number > after
        )
        return list(self._session.scalars(query.order_by(VerificationRow.number).limit(limit)))

    def get(self, experiment_id: str, number: int) -> VerificationRow:
        """Return one verification.

        Raises:
            NotFound: the experiment has none of this number.
        """
        row = self._session.get(VerificationRow, (experiment_id, number))
        if row is None:
            raise NotFound(f"experiment {experiment_id} has no verification {number}")
        return row

    def open(self) -> list[VerificationRow]:
        """Return those that have not ended, oldest first."""
        query = select(VerificationRow).where(VerificationRow.state.in_(_OPEN))
        return list(self._session.scalars(query.order_by(VerificationRow.created_at)))

"""Queries about verifications: replays of stages that users request."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.events import utc_now
from service.states import VerificationState
from service.store.experiment_queries import Experiments
from service.store.tables import VerificationRow

_OPEN = (VerificationState.QUEUED, VerificationState.RUNNING)


class Verifications:
    """The verifications of experiments."""

    def __init__(self, session: Session, experiments: Experiments) -> None:
        self._session, self._experiments = session, experiments

    def add(self, experiment_id: str, chain_id: str, stage: int) -> VerificationRow:
        """Store a request for a replay; return the earlier request if the same replay has not ended."""
        self._experiments.get(experiment_id, lock=True)
        for row in self.list_after(experiment_id):
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

    def list_after(self, experiment_id: str, number: int = 0, *, limit: int | None = None) -> list[VerificationRow]:
        """Return an experiment's verifications with larger numbers than `number`, oldest first.

        Args:
            experiment_id: the experiment's id.
            number: the number of the last verification on the previous page; 0 for the first page.
            limit: largest number of verifications to return; None: all.
        """
        query = select(VerificationRow).where(
            VerificationRow.experiment_id == experiment_id, VerificationRow.number > number
        )
        return list(self._session.scalars(query.order_by(VerificationRow.number).limit(limit)))

    def get(self, experiment_id: str, number: int) -> VerificationRow:
        """Return one verification.

        Raises:
            NotFound: the experiment has no verification with this number.
        """
        row = self._session.get(VerificationRow, (experiment_id, number))
        if row is None:
            raise NotFound(f"experiment {experiment_id} has no verification {number}")
        return row

    def list_open(self) -> list[VerificationRow]:
        """Return the verifications that have not ended, of all experiments, oldest first."""
        query = select(VerificationRow).where(VerificationRow.state.in_(_OPEN))
        return list(self._session.scalars(query.order_by(VerificationRow.created_at)))

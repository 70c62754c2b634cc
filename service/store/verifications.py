"""Replays of stages: asked for, looked after, answered."""

from sqlalchemy import func, select

from service.errors import NotFound
from service.events import utc_now
from service.states import VerificationState
from service.store.base import Queries
from service.store.tables import VerificationRow

_OPEN = (VerificationState.QUEUED, VerificationState.RUNNING)


class Verifications(Queries):
    """The part of the repository that knows of verifications."""

    def add_verification(self, experiment_id: str, chain_id: str, stage: int) -> VerificationRow:
        """Ask for a replay; the one that is asked for already, if it has not ended."""
        self.experiment(experiment_id, lock=True)
        for row in self.verifications(experiment_id):
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

    def verifications(self, experiment_id: str, *, after: int = 0, limit: int | None = None) -> list[VerificationRow]:
        """An experiment's verifications, oldest first, from behind number `after`."""
        query = select(VerificationRow).where(
            VerificationRow.experiment_id == experiment_id, VerificationRow.number > after
        )
        return list(self._session.scalars(query.order_by(VerificationRow.number).limit(limit)))

    def verification(self, experiment_id: str, number: int) -> VerificationRow:
        """One verification.

        Raises:
            NotFound: the experiment has none of this number.
        """
        row = self._session.get(VerificationRow, (experiment_id, number))
        if row is None:
            raise NotFound(f"experiment {experiment_id} has no verification {number}")
        return row

    def open_verifications(self) -> list[VerificationRow]:
        """Those that have not ended, oldest first."""
        query = select(VerificationRow).where(VerificationRow.state.in_(_OPEN))
        return list(self._session.scalars(query.order_by(VerificationRow.created_at)))

"""Replays of stages: requests and results."""

from service.answers.verification import VerificationPage, VerificationView
from service.api.context import Context
from service.errors import Conflict, NotFound
from service.states import VerificationState
from service.store.tables import VerificationRow


def verify(context: Context, experiment_id: str, chain_id: str, stage: int) -> VerificationView:
    """Request a replay; if the same replay is already waiting or running, return that one.

    Raises:
        NotFound: There is no such experiment, chain or stage.
        Conflict: The stage has committed nothing, or the checkpoints have been removed.
    """
    with context.database.session() as repository:
        experiment = repository.experiments.get(experiment_id)
        row = repository.work.stage(experiment_id, chain_id, stage)
        if row is None:
            raise NotFound(f"experiment {experiment_id} has no stage {stage} of a chain {chain_id!r}")
        if row.epoch == 0:
            raise Conflict(f"stage {stage} of chain {chain_id} has committed no epoch to compare")
        if experiment.checkpoints_removed_at is not None:
            raise Conflict(f"experiment {experiment_id} cannot be verified: its checkpoints have been removed")
        return _view(repository.verifications.add(experiment_id, chain_id, stage))


def verification_page(context: Context, experiment_id: str, *, after: int, limit: int) -> VerificationPage:
    """List an experiment's verifications after number `after`, oldest first."""
    with context.database.reading() as repository:
        repository.experiments.get(experiment_id)
        rows = repository.verifications.list_after(experiment_id, after, limit=limit + 1)
    return VerificationPage(
        verifications=[_view(row) for row in rows[:limit]],
        next_cursor=str(rows[limit - 1].number) if len(rows) > limit else None,
    )


def verification_view(context: Context, experiment_id: str, number: int) -> VerificationView:
    """Show one verification."""
    with context.database.reading() as repository:
        repository.experiments.get(experiment_id)
        return _view(repository.verifications.get(experiment_id, number))


def _view(row: VerificationRow) -> VerificationView:
    return VerificationView(
        number=row.number,
        chain=row.chain_id,
        stage=row.stage,
        state=VerificationState(row.state),
        reason=row.reason,
        created_at=row.created_at,
        finished_at=row.finished_at,
        result=row.result,
    )

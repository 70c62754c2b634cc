"""Queries about chains and stages."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, func, select, tuple_, update
from sqlalchemy.orm import Session, lazyload
from sqlalchemy.orm.attributes import set_committed_value

from service.states import DONE, WorkState
from service.store.tables import ChainRow, StageRow

# The most configurations that one query names: a query may have 32,766 parameters.
CONFIGURATIONS_AT_ONCE = 1_000


class Work:
    """The chains and stages of experiments."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def chains(self, experiment_id: str, *, limit: int | None = None, after: int = -1) -> list[ChainRow]:
        """Return the chains whose positions are larger than `after`, with their stages, in the plan's order."""
        query = (
            select(ChainRow)
            .where(ChainRow.experiment_id == experiment_id, ChainRow.position > after)
            .order_by(ChainRow.position)
            .limit(limit)
            .options(lazyload(ChainRow.stages))
        )
        chains = list(self._session.scalars(query))
        if chains:
            self._add_stages(experiment_id, chains)
        return chains

    def _add_stages(self, experiment_id: str, chains: Sequence[ChainRow]) -> None:
        """Load the stages of chains whose positions have no gap.

        The query uses the range of positions. A query that names each chain would differ each time, and would take
        longer to build and to parse than to run.
        """
        query = (
            select(StageRow)
            .join(ChainRow, and_(ChainRow.experiment_id == StageRow.experiment_id, ChainRow.id == StageRow.chain_id))
            .where(ChainRow.experiment_id == experiment_id)
            .where(ChainRow.position.between(chains[0].position, chains[-1].position))
            .order_by(StageRow.index)
        )
        stages: dict[str, list[StageRow]] = {chain.id: [] for chain in chains}
        for stage in self._session.scalars(query):
            stages[stage.chain_id].append(stage)
        for chain in chains:
            set_committed_value(chain, "stages", stages[chain.id])

    def chain(self, experiment_id: str, chain_id: str) -> ChainRow | None:
        """Return one chain; None if there is none."""
        return self._session.get(ChainRow, (experiment_id, chain_id))

    def stage(self, experiment_id: str, chain_id: str, index: int) -> StageRow | None:
        """Return one stage; None if there is none."""
        return self._session.get(StageRow, (experiment_id, chain_id, index))

    def chains_past(self, experiment_id: str, index: int) -> set[str]:
        """Return the ids of the chains whose stage `index` has succeeded."""
        succeeded = StageRow.index == index, StageRow.state == WorkState.SUCCEEDED
        query = select(StageRow.chain_id).where(StageRow.experiment_id == experiment_id, *succeeded)
        return set(self._session.scalars(query))

    def count_epochs(self, experiment_id: str) -> int:
        """Count the epochs that are known to be committed, over all stages."""
        query = select(func.sum(StageRow.epoch)).where(StageRow.experiment_id == experiment_id)
        return self._session.scalar(query) or 0

    def count_done_stages(self, experiment_id: str) -> int:
        """Count the stages that have succeeded or were stopped early."""
        done = StageRow.state.in_((WorkState.SUCCEEDED, WorkState.STOPPED))
        query = select(func.count()).select_from(StageRow).where(StageRow.experiment_id == experiment_id, done)
        return self._session.scalar(query) or 0

    def end_unfinished(self, experiment_id: str, state: WorkState) -> None:
        """Put every chain and stage that has not ended into `state`."""
        for table in (ChainRow, StageRow):
            unfinished = table.experiment_id == experiment_id, table.state.not_in(DONE)
            self._session.execute(update(table).where(*unfinished).values(state=state))

    def rest_running(self, experiment_id: str) -> None:
        """Put every running chain and stage back to waiting."""
        for table in (ChainRow, StageRow):
            running = table.experiment_id == experiment_id, table.state == WorkState.RUNNING
            self._session.execute(update(table).where(*running).values(state=WorkState.WAITING))

    def configurations(
        self, experiment_id: str, wanted: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], tuple[dict[str, Any], list[str]]]:
        """Return the values that a search has proposed for some configurations, and their chains' ids in plan order.

        Args:
            experiment_id: the experiment's id.
            wanted: the arm and number of each configuration. Configurations that are not stored any more are left out.
        """
        found: dict[tuple[str, int], tuple[dict[str, Any], list[str]]] = {}
        columns = ChainRow.arm, ChainRow.configuration, ChainRow.id, ChainRow.hyperparameters
        for first in range(0, len(wanted), CONFIGURATIONS_AT_ONCE):
            key = tuple_(ChainRow.arm, ChainRow.configuration)
            these = ChainRow.experiment_id == experiment_id, key.in_(wanted[first : first + CONFIGURATIONS_AT_ONCE])
            query = select(*columns).where(*these).order_by(ChainRow.position)
            for arm, number, chain_id, values in self._session.execute(query):
                found.setdefault((arm, number), (values, []))[1].append(chain_id)
        return found

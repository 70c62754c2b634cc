"""Chains, stages, and how far the drivers' event files have been taken in."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import lazyload
from sqlalchemy.orm.attributes import set_committed_value

from service.states import DONE, WorkState
from service.store.base import Queries
from service.store.tables import ChainRow, EventFileRow, StageRow


class Work(Queries):
    """The part of the repository that knows what an experiment's drivers do."""

    def chains(self, experiment_id: str, *, limit: int | None = None, after: int = -1) -> list[ChainRow]:
        """Chains with their stages, in the plan's order, from behind position `after`."""
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
        """Load the stages of chains that stand side by side.

        By their range: the relationship would name each chain in a query that is never the same twice, which takes
        longer to write and to read than to answer.
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
        """One chain, or None."""
        return self._session.get(ChainRow, (experiment_id, chain_id))

    def stage(self, experiment_id: str, chain_id: str, index: int) -> StageRow | None:
        """One stage, or None."""
        return self._session.get(StageRow, (experiment_id, chain_id, index))

    def chains_past(self, experiment_id: str, index: int) -> set[str]:
        """Ids of the chains of which this stage has succeeded."""
        succeeded = StageRow.index == index, StageRow.state == WorkState.SUCCEEDED
        query = select(StageRow.chain_id).where(StageRow.experiment_id == experiment_id, *succeeded)
        return set(self._session.scalars(query))

    def count_epochs(self, experiment_id: str) -> int:
        """How many epochs are known to be committed, over all stages."""
        query = select(func.sum(StageRow.epoch)).where(StageRow.experiment_id == experiment_id)
        return self._session.scalar(query) or 0

    def count_done_stages(self, experiment_id: str) -> int:
        """How many stages have succeeded or were stopped early."""
        done = or_(StageRow.state == "succeeded", StageRow.state == "stopped")
        query = select(func.count()).select_from(StageRow).where(StageRow.experiment_id == experiment_id, done)
        return self._session.scalar(query) or 0

    def end_unfinished(self, experiment_id: str, state: WorkState) -> None:
        """Put every chain and stage that has not ended into `state`."""
        for table in (ChainRow, StageRow):
            unfinished = table.experiment_id == experiment_id, table.state.not_in(DONE)
            self._session.execute(update(table).where(*unfinished).values(state=state))

    def rest_running(self, experiment_id: str) -> None:
        """Put every chain and stage that runs back to waiting."""
        for table in (ChainRow, StageRow):
            running = table.experiment_id == experiment_id, table.state == WorkState.RUNNING
            self._session.execute(update(table).where(*running).values(state=WorkState.WAITING))

    # -- event files -------------------------------------------------------------------------------------------

    def event_offset(self, experiment_id: str, driver_attempt: int) -> int:
        """How many bytes of this driver's event file have been taken in."""
        row = self._session.get(EventFileRow, (experiment_id, driver_attempt))
        return 0 if row is None else row.offset

    def move_event_offset(self, experiment_id: str, driver_attempt: int, before: int, after: int) -> bool:
        """Record that the file is taken in up to `after`; False if somebody else moved it from `before`."""
        if before == 0 and self._session.get(EventFileRow, (experiment_id, driver_attempt)) is None:
            try:
                with self._session.begin_nested():
                    row = EventFileRow(experiment_id=experiment_id, driver_attempt=driver_attempt, offset=after)
                    self._session.add(row)
                return True
            except IntegrityError:
                return False
        result = self._session.execute(
            update(EventFileRow)
            .where(
                and_(
                    EventFileRow.experiment_id == experiment_id,
                    EventFileRow.driver_attempt == driver_attempt,
                    EventFileRow.offset == before,
                )
            )
            .values(offset=after)
        )
        return cast("CursorResult[Any]", result).rowcount == 1

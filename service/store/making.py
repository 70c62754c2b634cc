"""Storing new experiments, once for each idempotency key."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Table, insert
from sqlalchemy.exc import IntegrityError

from service.errors import Conflict, NotFound
from service.plan import Chain
from service.spec import Experiment
from service.store.base import Queries
from service.store.rows import chain_values, experiment_row, stage_values
from service.store.tables import ChainRow, ExperimentRow, IdempotencyKeyRow, LineageRow, StageRow


class Making(Queries):
    """The part of the repository that makes experiments."""

    def create_experiment(
        self,
        spec: Experiment,
        chains: Sequence[Chain],
        *,
        idempotency_key: str | None = None,
        body_sha256: str = "",
        preset: str | None = None,
        rerun_of: str | None = None,
    ) -> ExperimentRow:
        """Store an experiment as queued, with all its chains and stages.

        Args:
            spec: what is to be run.
            chains: its plan.
            idempotency_key: the client's, if it sent one.
            body_sha256: what the key is bound to.
            preset: the preset it was posted by.
            rerun_of: id of the search whose choice it measures.

        Returns:
            The new experiment, or the one that the same key and body made before.

        Raises:
            Conflict: the key was used with another body.
        """
        if idempotency_key is None:
            return self._insert(spec, chains, preset, rerun_of)
        known = self.known(idempotency_key, body_sha256)
        if known is not None:
            return known
        try:
            with self._session.begin_nested():
                row = self._insert(spec, chains, preset, rerun_of)
                key = IdempotencyKeyRow(key=idempotency_key, body_sha256=body_sha256, experiment_id=row.id)
                self._session.add(key)
                self._session.flush()
            return row
        except IntegrityError:  # another request with this key came first
            known = self.known(idempotency_key, body_sha256)
            if known is None:
                raise
            return known

    def known(self, key: str | None, body_sha256: str) -> ExperimentRow | None:
        """The experiment that a key has made already; None if it has made none.

        Raises:
            Conflict: the key was used with another body.
        """
        known = None if key is None else self._session.get(IdempotencyKeyRow, key)
        if known is None:
            return None
        if known.body_sha256 != body_sha256:
            raise Conflict(
                f"Idempotency-Key {key!r} was used before with another body, for experiment {known.experiment_id}; "
                "send the same body, or a new key"
            )
        try:
            return self.experiment(known.experiment_id)
        except NotFound:
            raise Conflict(
                f"Idempotency-Key {key!r} made experiment {known.experiment_id}, which is being deleted: "
                "try again a little later, or send a new key"
            ) from None

    def _insert(
        self, spec: Experiment, chains: Sequence[Chain], preset: str | None, rerun_of: str | None
    ) -> ExperimentRow:
        num_stages = sum(len(chain.stages) for chain in chains)
        row = experiment_row(spec, num_stages=num_stages, preset=preset, rerun_of=rerun_of)
        self._session.add(row)
        self._session.flush()
        # The tables, not the classes: nothing of the many rows is asked for again, and this way costs half.
        chain_rows = [chain_values(row.id, position, chain) for position, chain in enumerate(chains)]
        self._session.execute(insert(cast("Table", ChainRow.__table__)), chain_rows)
        stage_rows = [values for chain in chains for values in stage_values(row.id, chain)]
        self._session.execute(insert(cast("Table", StageRow.__table__)), stage_rows)
        parents = dict.fromkeys(chain.origin.experiment for chain in chains if chain.origin is not None)
        self._session.add_all(LineageRow(experiment_id=row.id, parent_id=parent) for parent in parents)
        self.add_event(row.id, "experiment", {"state": row.state})
        return row

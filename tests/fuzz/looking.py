"""Functions that read the whole database and the storage by plain queries, after every step."""

from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select

from service.settings import Settings
from service.store.tables import ChainRow, EventRow, ExperimentRow, OutcomeRow, StageRow, Table

Json = dict[str, Any]
EXPERIMENT = (
    "state",
    "reason",
    "reason_kind",
    "generation",
    "started_at",
    "finished_at",
    "checkpoints_removed_at",
    "resources_history",
)
STAGE = ("state", "epoch", "epochs", "metrics", "weights_sha256", "attempts", "failure")
OUTCOME = ("generation", "state", "reason", "started_at", "finished_at")


def views(engine: Engine) -> dict[str, Json]:
    """Return all experiments by id, as the API shows them, including those that are being deleted."""
    with engine.connect() as connection:
        found = {row.id: _experiment(row) for row in _rows(connection, ExperimentRow, ExperimentRow.id)}
        chains: dict[tuple[str, str], Json] = {}
        for row in _rows(connection, ChainRow, ChainRow.experiment_id, ChainRow.position):
            chains[row.experiment_id, row.id] = {"id": row.id, "state": row.state, "stages": []}
            found[row.experiment_id]["chains"].append(chains[row.experiment_id, row.id])
        for row in _rows(connection, StageRow, StageRow.index):
            chains[row.experiment_id, row.chain_id]["stages"].append({key: getattr(row, key) for key in STAGE})
        for row in _rows(connection, OutcomeRow, OutcomeRow.generation):
            found[row.experiment_id]["history"].append({key: getattr(row, key) for key in OUTCOME})
    return found


def _rows(connection: Connection, table: type[Table], *order: Any) -> list[Row[Any]]:
    return list(connection.execute(select(table.__table__).order_by(*order)))


def _experiment(row: Row[Any]) -> Json:
    progress = {"stages_done": row.stages_done, "stages_total": row.stages_total}
    shown = {key: getattr(row, key) for key in EXPERIMENT}
    workers = row.spec.get("resources", {}).get("workers_per_trial", 1)
    return {**shown, "num_workers": workers, "progress": progress, "chains": [], "history": []}


def events(engine: Engine) -> list[Row[Any]]:
    """Return the events of type `experiment` by number. This is their order in time only within one experiment."""
    with engine.connect() as connection:
        query = select(EventRow.__table__).where(EventRow.type == "experiment").order_by(EventRow.id)
        return list(connection.execute(query))


def leftovers(engine: Engine, settings: Settings, experiment_id: str) -> list[str]:
    """Return the tables and the paths that still hold something of an experiment."""
    found = []
    with engine.connect() as connection:
        for table in Table.metadata.sorted_tables:
            column = table.c.id if table.name == "experiments" else table.c.experiment_id
            query = select(func.count()).select_from(table).where(column == experiment_id)
            found += [table.name] if connection.scalar(query) else []
    return found + [str(path) for path in settings.storage.rglob(f"*{experiment_id}*")]

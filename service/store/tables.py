"""The tables. Migrations in `migrations/` are what makes them; a test holds the two together."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time that is always aware and in UTC, on SQLite too, which keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite numbers rows by itself only where the type is called INTEGER, which holds 64 bits there anyway.
LongInteger = BigInteger().with_variant(Integer(), "sqlite")


class Table(DeclarativeBase):
    """Base of the tables."""

    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        dict[str, str]: JSON(),
        list[dict[str, Any]]: JSON(),
    }


class ExperimentRow(Table):
    """One experiment: what is wanted of it, and what was last observed."""

    __tablename__ = "experiments"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(Text, default="")
    labels: Mapped[dict[str, str]] = mapped_column(default=dict)
    preset: Mapped[str | None] = mapped_column(String(80))
    # The search whose choice it measures. No foreign key: nothing of it is needed, and it may be deleted.
    rerun_of: Mapped[str | None] = mapped_column(String(32))
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    failure: Mapped[dict[str, Any] | None]
    wanted: Mapped[str] = mapped_column(String(16), default="run")
    # Why the service itself keeps it from running, in words; empty: it does not.
    hold: Mapped[str] = mapped_column(Text, default="")
    # The queue: whose it is, what goes first, since when it waits, and what a trial of it asks of a node.
    owner: Mapped[str] = mapped_column(String(80), default="local")
    priority: Mapped[int] = mapped_column(Integer, default=0)
    queued_at: Mapped[datetime]
    demand: Mapped[dict[str, Any]]
    # What the spec had for `resources` before, oldest first: each with its generation, and until when it held.
    resources_history: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    # How often it was begun anew after an end, and the first driver since.
    generation: Mapped[int] = mapped_column(Integer, default=1)
    first_driver: Mapped[int] = mapped_column(Integer, default=1)
    # The driver: how many were submitted, and how many in a row died without leaving anything new behind.
    driver_attempt: Mapped[int] = mapped_column(Integer, default=0)
    idle_deaths: Mapped[int] = mapped_column(Integer, default=0)
    epochs_at_start: Mapped[int] = mapped_column(LongInteger, default=0)
    retry_at: Mapped[datetime | None]
    # The stretch it runs at, which ends with a pause and with its end, but not with a driver that another follows: its
    # begin, and the epochs times T that were done by then.
    stretch_started_at: Mapped[datetime | None]
    work_at_stretch: Mapped[int] = mapped_column(LongInteger, default=0)
    stages_done: Mapped[int] = mapped_column(Integer, default=0)
    stages_total: Mapped[int] = mapped_column(Integer)
    mlflow_experiment_id: Mapped[str | None] = mapped_column(String(64))
    # After its end: what is to be removed, what has been, and when it goes by itself.
    cleanup: Mapped[str | None] = mapped_column(String(16), index=True)
    checkpoints_removed_at: Mapped[datetime | None]
    delete_at: Mapped[datetime | None] = mapped_column(index=True)
    # Telling of its end: when the next try is due, how many there were, and how the last one went.
    notify_at: Mapped[datetime | None] = mapped_column(index=True)
    notify_tries: Mapped[int] = mapped_column(Integer, default=0)
    notify_error: Mapped[str] = mapped_column(Text, default="")
    notified_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_experiments_newest", "created_at", "id"),)


class OutcomeRow(Table):
    """How an earlier generation of an experiment ended."""

    __tablename__ = "outcomes"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    failure: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime]


class LineageRow(Table):
    """An experiment that starts from another's checkpoints: while it is there, the other cannot be deleted."""

    __tablename__ = "lineage"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    parent_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True, index=True)


class VerificationRow(Table):
    """One replay of a stage: what was asked, the job that does it, and what it found."""

    __tablename__ = "verifications"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    chain_id: Mapped[str] = mapped_column(String(32))
    stage: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    job_attempt: Mapped[int] = mapped_column(Integer, default=1)
    result: Mapped[dict[str, Any] | None]


class ChainRow(Table):
    """One arm x one seed x one set of hyperparameters."""

    __tablename__ = "chains"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    arm: Mapped[str] = mapped_column(String(80))
    seed: Mapped[int] = mapped_column(Integer)
    hyperparameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    # The number of its configuration within the arm, from 0; and why a search has stopped it.
    configuration: Mapped[int] = mapped_column(Integer, default=0)
    reason: Mapped[str] = mapped_column(Text, default="")
    mlflow_run_id: Mapped[str | None] = mapped_column(String(64))
    stages: Mapped[list["StageRow"]] = relationship(order_by="StageRow.index", lazy="selectin", viewonly=True)

    __table_args__ = (Index("ix_chains_position", "experiment_id", "position", unique=True),)


class StageRow(Table):
    """One stage of one chain, with what its newest committed epoch left."""

    __tablename__ = "stages"

    experiment_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    chain_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    index: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    T: Mapped[int | None] = mapped_column(Integer)
    epochs: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    epoch: Mapped[int] = mapped_column(Integer, default=0)
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    train_time_s: Mapped[float] = mapped_column(Float, default=0.0)
    initial_sha256: Mapped[str | None] = mapped_column(String(64))
    weights_sha256: Mapped[str | None] = mapped_column(String(64))
    mlflow_run_id: Mapped[str | None] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    failure: Mapped[dict[str, Any] | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["experiment_id", "chain_id"],
            ["chains.experiment_id", "chains.id"],
            ondelete="CASCADE",
            name="fk_stages_chain",
        ),
    )


class EventRow(Table):
    """One thing that happened, in the order in which the service learnt of it: the event stream."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(LongInteger, primary_key=True, autoincrement=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    type: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]]

    __table_args__ = (Index("ix_events_stream", "experiment_id", "id"),)


class EventFileRow(Table):
    """How far one driver's event file has been read."""

    __tablename__ = "event_files"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    driver_attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    offset: Mapped[int] = mapped_column(LongInteger, default=0)


class IdempotencyKeyRow(Table):
    """A client's key, and the experiment that its first request made."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))

"""The tables. The migrations in `migrations/` create them; a test compares both."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Float, ForeignKey, ForeignKeyConstraint, Index, Integer, LargeBinary, String, Text
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from service.reasons import Reason, ReasonKind
from service.states import Wanted
from service.store.columns import EnumText, LongInteger, UtcDateTime


class Table(DeclarativeBase):
    """The base of the tables."""

    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        dict[str, str]: JSON(),
        list[dict[str, Any]]: JSON(),
        list[int]: JSON(),
    }


class ExperimentRow(Table):
    """One experiment: what is wanted of it, and what was observed last."""

    __tablename__ = "experiments"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(Text, default="")
    labels: Mapped[dict[str, str]] = mapped_column(default=dict)
    preset: Mapped[str | None] = mapped_column(String(80))
    # The search whose best configurations this experiment measures. No foreign key: the search may be deleted.
    rerun_of: Mapped[str | None] = mapped_column(String(32))
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(16), index=True)
    # Why the experiment is in this state: the words for people, and the kind, by which code decides. See `set_reason`.
    reason: Mapped[str] = mapped_column(Text, default="")
    reason_kind: Mapped[ReasonKind] = mapped_column(EnumText(ReasonKind), default=ReasonKind.NONE)
    failure: Mapped[dict[str, Any] | None]
    wanted: Mapped[Wanted] = mapped_column(EnumText(Wanted, 16), default=Wanted.RUN)
    # Why the service itself keeps the experiment from running, in words; empty if nothing does. See `is_held`.
    hold: Mapped[str] = mapped_column(Text, default="")
    # For the queue: the owner, the priority, the start of the wait, and what one of the trials needs on a node.
    owner: Mapped[str] = mapped_column(String(80), default="local")
    priority: Mapped[int] = mapped_column(Integer, default=0)
    queued_at: Mapped[datetime]
    demand: Mapped[dict[str, Any]]
    # Earlier values of the spec's `resources`, oldest first, each with its generation and the time of its replacement.
    resources_history: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    # The generation (1, plus one for each retry), and the number of the generation's first driver.
    generation: Mapped[int] = mapped_column(Integer, default=1)
    first_driver: Mapped[int] = mapped_column(Integer, default=1)
    # The number of the newest driver, and the number of drivers in a row that died without committing an epoch.
    driver_attempt: Mapped[int] = mapped_column(Integer, default=0)
    idle_deaths: Mapped[int] = mapped_column(Integer, default=0)
    epochs_at_start: Mapped[int] = mapped_column(LongInteger, default=0)
    retry_at: Mapped[datetime | None]
    # The start of the current stretch, and the work (epochs times T) that was done before it. A stretch begins when the
    # experiment leaves the queue, and lasts to the next pause or the end. It does not end with a driver.
    stretch_started_at: Mapped[datetime | None]
    work_at_stretch: Mapped[int] = mapped_column(LongInteger, default=0)
    stages_done: Mapped[int] = mapped_column(Integer, default=0)
    stages_total: Mapped[int] = mapped_column(Integer)
    mlflow_experiment_id: Mapped[str | None] = mapped_column(String(64))
    mlflow_view: Mapped[str | None] = mapped_column(String(64))
    # The session of Ray to which the newest driver was submitted; None: not known. A restart of Ray begins another
    # session, which knows no job of this one; then the job is forgotten.
    ray_session: Mapped[str | None] = mapped_column(String(120))
    is_job_forgotten: Mapped[bool] = mapped_column(Boolean, default=False)
    # After its end: what to remove, when its checkpoints were removed, and when the experiment is to be deleted.
    cleanup: Mapped[str | None] = mapped_column(String(16), index=True)
    checkpoints_removed_at: Mapped[datetime | None]
    delete_at: Mapped[datetime | None] = mapped_column(index=True)
    # The webhook: when the next try is due, the number of tries, the error of the last one, and when it was delivered.
    notify_at: Mapped[datetime | None] = mapped_column(index=True)
    notify_tries: Mapped[int] = mapped_column(Integer, default=0)
    notify_error: Mapped[str] = mapped_column(Text, default="")
    notified_at: Mapped[datetime | None]
    # Whether the curves of all stages that have ended are stored, as far as they exist.
    has_curves: Mapped[bool] = mapped_column(Boolean, default=False)
    # Whether all resampled pairs are stored, as far as they can be computed. After an experiment's end, those that are
    # missing are computed from storage.
    has_resampled: Mapped[bool] = mapped_column(Boolean, default=False)
    # Whether the events of single epochs have been removed from the stream of an experiment that has ended.
    is_stream_thinned: Mapped[bool] = mapped_column(Boolean, default=False)

    __table_args__ = (Index("ix_experiments_newest", "created_at", "id"),)

    @hybrid_property
    def is_held(self) -> bool:
        """Whether the service itself keeps the experiment from running, even if the user wants it to run."""
        return self.hold != ""

    def current_reason(self) -> Reason:
        """Return the kind and the words together."""
        return Reason(self.reason_kind, self.reason)

    def set_reason(self, reason: Reason) -> None:
        """Set the kind and the words together."""
        self.reason_kind, self.reason = reason.kind, reason.words


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
    """An experiment, and a parent from whose checkpoints it starts. It must be deleted before the parent."""

    __tablename__ = "lineage"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    parent_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True, index=True)


class VerificationRow(Table):
    """One replay of a stage: the stage, the job, and the result."""

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
    """One arm x one seed x one configuration."""

    __tablename__ = "chains"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    arm: Mapped[str] = mapped_column(String(80))
    seed: Mapped[int] = mapped_column(Integer)
    hyperparameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    # The number of its configuration within the arm, from 0.
    configuration: Mapped[int] = mapped_column(Integer, default=0)
    # Why the chain was stopped: by a search, or because no decision needs it; empty if it was not.
    reason: Mapped[str] = mapped_column(Text, default="")
    mlflow_run_id: Mapped[str | None] = mapped_column(String(64))
    stages: Mapped[list["StageRow"]] = relationship(order_by="StageRow.index", lazy="selectin", viewonly=True)

    __table_args__ = (Index("ix_chains_position", "experiment_id", "position", unique=True),)


class StageRow(Table):
    """One stage of one chain, with the values of its newest committed epoch."""

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
    # How many samples and classes the test set has, and how many samples its largest class has, in the form of
    # `service.events.ClassCounts`. None until the stage has started, or if an earlier version ran the stage.
    test_set: Mapped[dict[str, Any] | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["experiment_id", "chain_id"],
            ["chains.experiment_id", "chains.id"],
            ondelete="CASCADE",
            name="fk_stages_chain",
        ),
    )


class CurvesRow(Table):
    """The curves of one stage that has ended, as `service.curves.packed` packs them; None if there are none."""

    __tablename__ = "curves"

    experiment_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    chain_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    index: Mapped[int] = mapped_column(Integer, primary_key=True)
    packed: Mapped[bytes | None] = mapped_column(LargeBinary)
    # The summary of the curves, so that a comparison need not unpack them.
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # Why there are no curves; empty if there are.
    error: Mapped[str] = mapped_column(Text, default="")

    __table_args__ = (
        ForeignKeyConstraint(
            ["experiment_id", "chain_id", "index"],
            ["stages.experiment_id", "stages.chain_id", "stages.index"],
            ondelete="CASCADE",
            name="fk_curves_stage",
        ),
    )


class ResampledPairRow(Table):
    """A pair of arms, resampled over seeds and test samples; see `service.resampled_pairs.ResampledPair`."""

    __tablename__ = "resampled_pairs"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    arm: Mapped[str] = mapped_column(String(80), primary_key=True)
    to: Mapped[str] = mapped_column(String(80), primary_key=True)
    seeds: Mapped[list[int]]
    # In the form of `service.statistics.resampling.ResampledDifference`; None if it could not be computed.
    result: Mapped[dict[str, Any] | None]
    # Why there is no result; empty if there is one.
    error: Mapped[str] = mapped_column(Text, default="")


class EventRow(Table):
    """One event of the stream that clients follow. The ids of one experiment rise in the order of storing."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(LongInteger, primary_key=True, autoincrement=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    type: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]]

    __table_args__ = (Index("ix_events_stream", "experiment_id", "id"),)


class EventFileRow(Table):
    """The number of bytes of one driver's event file that have been read."""

    __tablename__ = "event_files"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    driver_attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    offset: Mapped[int] = mapped_column(LongInteger, default=0)


class IdempotencyKeyRow(Table):
    """A key that a client sent, and the experiment that the first request with this key created."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))

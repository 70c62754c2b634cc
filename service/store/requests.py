"""Requests of users about stored experiments; the reconciler and the housekeeper carry them out."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.errors import Conflict
from service.events import ExperimentChanged, utc_now
from service.reasons import NO_REASON
from service.spec.blocks import Resources
from service.states import TERMINAL, Cleanup, ExperimentState, Wanted, WorkState
from service.store.event_log import EventLog
from service.store.experiment_queries import Experiments
from service.store.rows import demand
from service.store.tables import ChainRow, ExperimentRow, OutcomeRow, StageRow

_DONE_TO = {Wanted.RUN: "resumed", Wanted.PAUSE: "paused", Wanted.CANCEL: "cancelled"}
# A new generation runs chains and stages in these states again.
_UNFINISHED = (WorkState.FAILED, WorkState.CANCELLED)
# Number of ids that an error names.
MAX_NAMED = 5


@dataclass(frozen=True)
class NewResources:
    """New resources of an experiment's trials.

    Attributes:
        before: The resources that the experiment had when the new ones were checked.
        after: The new resources, checked together with the rest of the spec.
    """

    before: Resources
    after: Resources


class Requests:
    """Requests of users, each stored or refused."""

    def __init__(self, session: Session, experiments: Experiments, events: EventLog) -> None:
        self._session, self._experiments, self._events = session, experiments, events

    def want(self, experiment_id: str, wanted: Wanted, resources: NewResources | None = None) -> ExperimentRow:
        """Store what a user wants of an experiment, for the reconciler. A repeated request changes nothing.

        Args:
            experiment_id: the experiment's id.
            wanted: what the user wants from now on; RUN resumes a paused experiment.
            resources: new resources of the trials of a paused experiment; None: unchanged.

        Raises:
            NotFound: no experiment has this id.
            Conflict: the experiment has ended in another state or is being cancelled, or it cannot continue with these
                resources.
        """
        row = self._experiments.get(experiment_id, lock=True)
        ends_so = wanted is Wanted.CANCEL and row.state == ExperimentState.CANCELLED
        if row.state in TERMINAL and not ends_so:
            raise Conflict(f"experiment {experiment_id} {_has_ended(row)} and cannot be {_DONE_TO[wanted]}")
        if row.wanted is Wanted.CANCEL and wanted is not Wanted.CANCEL:
            raise Conflict(f"experiment {experiment_id} is being cancelled and cannot be {_DONE_TO[wanted]}")
        changed: dict[str, Any] = {}
        if resources is not None and not _has(row, resources.after):
            if row.state != ExperimentState.PAUSED:
                raise Conflict(
                    f"experiment {experiment_id} is {row.state}, and resources change only while an experiment is "
                    "paused: pause it first, and resume it with the new resources once it is paused"
                )
            changed = self._give(row, resources)
        if row.wanted != wanted or changed:
            if wanted is Wanted.RUN:
                row.queued_at = utc_now()  # it queues after the experiments that already wait
            row.wanted = wanted
            event = ExperimentChanged(state=ExperimentState(row.state), wanted=wanted, **changed)
            self._events.add(experiment_id, event)
        return row

    def retry(self, experiment_id: str, resources: NewResources | None = None) -> ExperimentRow:
        """Start the next generation of a failed or cancelled experiment. Stages that have not succeeded run again.

        The outcome so far is added to the history. A repeated request changes nothing until the new generation starts.

        Args:
            experiment_id: the experiment's id.
            resources: new resources of the trials; None: unchanged.

        Raises:
            NotFound: no experiment has this id.
            Conflict: the experiment has not ended, has succeeded or has no checkpoints any more, or it cannot
                continue with these resources.
        """
        row = self._experiments.get(experiment_id, lock=True)
        has_not_started = row.state == ExperimentState.QUEUED and row.driver_attempt < row.first_driver
        if has_not_started and row.generation > 1 and row.wanted is not Wanted.CANCEL:
            if resources is not None and not _has(row, resources.after):
                raise Conflict(
                    f"experiment {experiment_id} has already been retried with other resources: pause it, and resume "
                    "it with these resources once it is paused"
                )
            return row
        if row.state not in (ExperimentState.FAILED, ExperimentState.CANCELLED):
            status = "has succeeded" if row.state == ExperimentState.SUCCEEDED else f"is {row.state}"
            status = "is being cancelled" if row.wanted is Wanted.CANCEL and row.state not in TERMINAL else status
            raise Conflict(f"experiment {experiment_id} {status}: only a failed or cancelled experiment can be retried")
        if row.checkpoints_removed_at is not None or row.cleanup is not None:
            raise Conflict(f"experiment {experiment_id} cannot be retried: its checkpoints have been removed")
        changed = {} if resources is None or _has(row, resources.after) else self._give(row, resources)
        self._open_generation(row, changed)
        return row

    def _give(self, row: ExperimentRow, resources: NewResources) -> dict[str, Any]:
        """Replace the resources in the spec; return the change as fields of an event.

        No driver of the experiment runs. Its next driver starts as usual, and reads the new spec.
        """
        if not _has(row, resources.before):
            raise Conflict(
                f"the resources of experiment {row.id} were changed meanwhile: look at them, and send the request again"
            )
        fixed = _fixed_once_started(resources.before, resources.after)
        if fixed and self._has_started(row.id):
            raise Conflict(
                f"experiment {row.id} has started, so {fixed}: keep these values, or fork the experiment to use "
                "other ones"
            )
        earlier = {"resources": resources.before.model_dump(mode="json"), "generation": row.generation}
        row.resources_history = [*row.resources_history, {**earlier, "until": utc_now().isoformat()}]
        row.spec = {**row.spec, "resources": resources.after.model_dump(mode="json", exclude_unset=True)}
        row.demand = demand(resources.after)
        return {"resources": resources.after}

    def _has_started(self, experiment_id: str) -> bool:
        """Return whether a stage was started, or a chain or stage has a run in MLflow."""
        stage, chain = StageRow.experiment_id == experiment_id, ChainRow.experiment_id == experiment_id
        was_started = or_(StageRow.attempts > 0, StageRow.epoch > 0, StageRow.mlflow_run_id.is_not(None))
        queries = (
            select(StageRow.index).where(stage, was_started),
            select(ChainRow.position).where(chain, ChainRow.mlflow_run_id.is_not(None)),
        )
        return any(self._session.scalar(query.limit(1)) is not None for query in queries)

    def _open_generation(self, row: ExperimentRow, changed: dict[str, Any]) -> None:
        assert row.finished_at is not None
        self._session.add(
            OutcomeRow(
                experiment_id=row.id,
                generation=row.generation,
                state=row.state,
                reason=row.reason,
                failure=row.failure,
                started_at=row.started_at,
                finished_at=row.finished_at,
            )
        )
        row.generation += 1
        row.first_driver = row.driver_attempt + 1
        row.state, row.wanted, row.hold = ExperimentState.QUEUED, Wanted.RUN, ""
        row.set_reason(NO_REASON)
        row.queued_at, row.started_at, row.finished_at = utc_now(), None, None
        row.failure, row.idle_deaths, row.retry_at = None, 0, None
        row.has_curves = row.has_resampled = False  # what the new generation leaves out is looked for again
        row.is_stream_thinned = False
        row.delete_at, row.notify_at, row.notified_at, row.notify_tries, row.notify_error = None, None, None, 0, ""
        for table, changes in ((ChainRow, {}), (StageRow, {"failure": None})):
            again = table.experiment_id == row.id, table.state.in_(_UNFINISHED)
            self._session.execute(update(table).where(*again).values(state=WorkState.WAITING, **changes))
        event = ExperimentChanged(state=ExperimentState.QUEUED, generation=row.generation, **changed)
        self._events.add(row.id, event)

    def remove(self, experiment_id: str, what: Cleanup) -> ExperimentRow:
        """Store what to remove of an ended experiment; the housekeeper removes it.

        Raises:
            NotFound: no experiment has this id, or it is being deleted already.
            Conflict: it has not ended, or another experiment starts from its checkpoints.
        """
        row = self._experiments.get(experiment_id, lock=True)
        if row.state not in TERMINAL:
            raise Conflict(f"experiment {experiment_id} is {row.state}: cancel it, and remove it once it has ended")
        heirs = self._experiments.heirs(experiment_id)
        if heirs:
            named = ", ".join(heirs[:MAX_NAMED]) + (f" and {len(heirs) - MAX_NAMED} more" if heirs[MAX_NAMED:] else "")
            raise Conflict(
                f"experiment {experiment_id} cannot be removed, because {named} started from it: delete these first"
            )
        if what is Cleanup.EVERYTHING or row.checkpoints_removed_at is None:
            row.cleanup = what
            event = ExperimentChanged(state=ExperimentState(row.state), cleanup=what)
            self._events.add(experiment_id, event)
        return row


def _has(row: ExperimentRow, resources: Resources) -> bool:
    return given(row.spec) == resources


def given(spec: dict[str, Any]) -> Resources:
    """Return the resources that a stored spec gives a trial."""
    return Resources.model_validate(spec.get("resources", {}))


def _fixed_once_started(before: Resources, after: Resources) -> str:
    """Return which changed resources must stay once a stage has started, with the reasons; empty if there are none.

    The number of workers may change: a checkpoint continues with any number of workers.
    """
    fixed = []
    if before.cpus_per_trial != after.cpus_per_trial:
        fixed.append(f"cpus_per_trial stays {before.cpus_per_trial} (its results depend on the number of threads)")
    if (before.gpus_per_trial > 0) != (after.gpus_per_trial > 0):
        fixed.append(f"gpus_per_trial stays {before.gpus_per_trial:g} (its results depend on the device)")
    return " and ".join(fixed)


def _has_ended(row: ExperimentRow) -> str:
    return f"is {row.state}" if row.state == ExperimentState.CANCELLED else f"has {row.state}"

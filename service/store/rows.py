"""The first rows of a new experiment, from its spec and its plan."""

import secrets
import time
from typing import Any

from service.events import utc_now
from service.plan import Chain
from service.spec import Experiment
from service.spec.blocks import Resources
from service.states import ExperimentState
from service.store.tables import ExperimentRow


def new_experiment_id() -> str:
    """Return a new id of 20 hex digits. The first 11 are the time in ms, so that ids sort by age."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(5)[:9]}"


def experiment_row(
    spec: Experiment, *, num_stages: int = 0, preset: str | None, rerun_of: str | None = None
) -> ExperimentRow:
    """Return the row of a new, queued experiment; `preset` and `rerun_of` say from what the experiment was made."""
    now = utc_now()
    return ExperimentRow(
        id=new_experiment_id(),
        name=spec.name,
        description=spec.description,
        labels=dict(spec.labels),
        preset=preset,
        rerun_of=rerun_of,
        spec=spec.model_dump(mode="json", exclude_unset=True),
        created_at=now,
        state=ExperimentState.QUEUED,
        priority=spec.priority,
        queued_at=now,
        demand=demand(spec.resources),
        stages_total=num_stages,
        resources_history=[],
    )


def demand(resources: Resources) -> dict[str, Any]:
    """Return what the queue needs to know about a trial; see `service.control.queue.Waiting`."""
    return {
        "resources": resources.demand(),
        "num_workers": resources.workers_per_trial,
        "if_unplaceable": resources.if_unplaceable,
    }


def chain_values(experiment_id: str, position: int, chain: Chain) -> dict[str, Any]:
    """Return a chain's columns; `position` is its place in the plan, from 0."""
    return {
        "experiment_id": experiment_id,
        "id": chain.id,
        "position": position,
        "arm": chain.arm,
        "seed": chain.seed,
        "configuration": chain.number,
        "hyperparameters": dict(chain.hyperparameters),
    }


def stage_values(experiment_id: str, chain: Chain) -> list[dict[str, Any]]:
    """Return the columns of each of a chain's stages."""
    return [
        {
            "experiment_id": experiment_id,
            "chain_id": chain.id,
            "index": stage.index,
            "kind": stage.kind,
            "T": stage.T,
            "epochs": stage.epochs,
        }
        for stage in chain.stages
    ]

"""A new experiment that measures a search's best configurations over new seeds."""

import hashlib
import json

from service.answers.experiments import ExperimentView
from service.api.context import Context
from service.api.experiments import submitting
from service.api.experiments.bodies import RerunRequest
from service.derived.rerun import own_name, rerun
from service.errors import Conflict, FieldError, SpecInvalid
from service.results.tried import best_by_arm, tried_by_arm
from service.states import TERMINAL
from service.store.tables import ExperimentRow

# Largest number of names in an error.
MAX_NAMED = 20


def rerun_best(context: Context, parent_id: str, wanted: RerunRequest, idempotency_key: str | None) -> ExperimentView:
    """Store an experiment in which each arm has the configuration that the comparison shows.

    The key is bound to the request, not to the resulting spec, so the experiment is found again even if the search has
    been retried or deleted since.

    Raises:
        NotFound: There is no such experiment.
        Conflict: It has no search, has not ended, or an arm has no result; or the key was used with another body.
        SpecInvalid: These seeds or arms cannot be run.
    """
    meaning = json.dumps(["rerun-best", parent_id, wanted.model_dump(mode="json")], sort_keys=True)
    digest = hashlib.sha256(meaning.encode()).hexdigest()
    if (known := submitting.made_before(context, idempotency_key, digest)) is not None:
        return known
    with context.database.reading() as repository:
        parent = repository.experiments.get(parent_id)
        chains = repository.outcomes.of(parent_id)
    _check_has_chosen(parent)
    names = _wanted_arms(parent, wanted.arms)
    best = best_by_arm(tried_by_arm(chains))
    missing = [name for name in names if name not in best]
    if missing:
        detail = f"has no result for {_listed(missing)}, because no chain of the arm has succeeded"
        raise Conflict(f"experiment {parent_id} {detail}; name the other arms in `arms`")
    chosen = {name: best[name].configuration for name in names}
    search = parent.spec if wanted.train_part is None else {**parent.spec, "train_part": wanted.train_part}
    spec = rerun(search, chosen, wanted.seeds, wanted.name or own_name(parent.name))
    return submitting.store_experiment(context, spec, idempotency_key, digest, rerun_of=parent_id)


def _check_has_chosen(parent: ExperimentRow) -> None:
    if parent.spec.get("search") is None:
        detail = "has no search, so nothing was chosen: post its spec with other seeds"
        raise Conflict(f"experiment {parent.id} {detail}")
    if parent.state not in TERMINAL:
        detail = "its best configurations are not known until it has ended"
        raise Conflict(f"experiment {parent.id} is {parent.state}: {detail}")


def _wanted_arms(parent: ExperimentRow, wanted: list[str] | None) -> list[str]:
    """Return the names of the arms, in the search's order."""
    names = [arm["name"] for arm in parent.spec["arms"]]
    if wanted is None:
        return names
    detail = f"must be the name of an arm of experiment {parent.id}: {_listed(names)}"
    faults = [FieldError.at(("arms", index), name, detail) for index, name in enumerate(wanted) if name not in names]
    if faults:
        raise SpecInvalid(faults)
    return [name for name in names if name in wanted]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if names[MAX_NAMED:] else ""
    return ", ".join(map(repr, names[:MAX_NAMED])) + more

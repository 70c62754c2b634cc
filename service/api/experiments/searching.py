"""The API's answer about the progress of an experiment's search."""

from collections.abc import Sequence

from service.answers.chains import ArmSearchView, BestView, SearchView
from service.events import utc_now
from service.results.search_progress import ArmSearch, arm_searches, expected_end
from service.spec import parse
from service.states import ExperimentState
from service.store.repository import Repository
from service.store.tables import ExperimentRow


def search_view(repository: Repository, row: ExperimentRow) -> SearchView | None:
    """Return the progress of the search over all its chains; None if there is no search."""
    if row.spec.get("search") is None:
        return None
    spec = parse(row.spec)
    assert spec.search is not None
    configurations = repository.sums.configurations(row.id)
    names = [arm.name for arm in spec.arms]
    searches = arm_searches(names, configurations)
    best = _best_views(repository, row.id, searches)
    end = None
    if row.state == ExperimentState.RUNNING and row.stretch_started_at is not None:
        end = expected_end(configurations, row.stretch_started_at, row.work_at_stretch, utc_now())
    return SearchView(
        method=spec.search.method,
        goal=list(spec.search.goal),
        early_stopping=None if spec.early_stopping is None else spec.early_stopping.name,
        arms=[_arm_view(arm, best.get(arm.name)) for arm in searches],
        expected_end=end,
    )


def _best_views(repository: Repository, experiment_id: str, searches: Sequence[ArmSearch]) -> dict[str, BestView]:
    """Return the best configuration of each arm that has one."""
    best = {(arm.name, arm.best.number): arm.best for arm in searches if arm.best is not None}
    found = repository.work.configurations(experiment_id, list(best))
    return {
        name: BestView(
            configuration=found[name, number][0],
            val_accuracy=each.val_accuracy,
            chains=found[name, number][1],
            complete=each.complete,
        )
        for (name, number), each in best.items()
        if (name, number) in found
    }


def _arm_view(arm: ArmSearch, best: BestView | None) -> ArmSearchView:
    return ArmSearchView(
        name=arm.name,
        num_configurations=arm.num_configurations,
        states=dict(arm.states),
        train_time_s=arm.train_time_s,
        best=best,
    )

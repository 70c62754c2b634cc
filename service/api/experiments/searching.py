"""The API's answer about the progress of an experiment's search."""

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
    end = None
    if row.state == ExperimentState.RUNNING and row.stretch_started_at is not None:
        end = expected_end(configurations, row.stretch_started_at, row.work_at_stretch, utc_now())
    return SearchView(
        method=spec.search.method,
        goal=list(spec.search.goal),
        early_stopping=None if spec.early_stopping is None else spec.early_stopping.name,
        arms=[_arm_view(repository, row.id, arm) for arm in arm_searches(names, configurations)],
        expected_end=end,
    )


def _arm_view(repository: Repository, experiment_id: str, arm: ArmSearch) -> ArmSearchView:
    return ArmSearchView(
        name=arm.name,
        num_configurations=arm.num_configurations,
        states=dict(arm.states),
        train_time_s=arm.train_time_s,
        best=_best_view(repository, experiment_id, arm),
    )


def _best_view(repository: Repository, experiment_id: str, arm: ArmSearch) -> BestView | None:
    best = arm.best
    if best is None:
        return None
    configuration, chains = repository.work.configuration(experiment_id, arm.name, best.number)
    return BestView(configuration=configuration, val_accuracy=best.val_accuracy, chains=chains, complete=best.complete)

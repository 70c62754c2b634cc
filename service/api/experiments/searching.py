"""How far an experiment's search is, as the API tells it."""

from service.api.experiments.schemas import ArmSearchView, BestView, SearchView
from service.events import utc_now
from service.results.search_progress import ArmSearch, expected_end, progress
from service.spec import parse
from service.states import ExperimentState
from service.store.repository import Repository
from service.store.tables import ExperimentRow


def search_view(repository: Repository, row: ExperimentRow) -> SearchView | None:
    """How far it is, by all its chains; None where there is no search."""
    if row.spec.get("search") is None:
        return None
    spec = parse(row.spec)
    assert spec.search is not None
    configurations = repository.sums.configurations(row.id)
    end = None
    if row.state == ExperimentState.RUNNING and row.stretch_started_at is not None:
        end = expected_end(configurations, row.stretch_started_at, row.work_at_stretch, utc_now())
    return SearchView(
        method=spec.search.method,
        goal=list(spec.search.goal),
        early_stopping=None if spec.early_stopping is None else spec.early_stopping.name,
        arms=[_arm(repository, row.id, arm) for arm in progress([arm.name for arm in spec.arms], configurations)],
        expected_end=end,
    )


def _arm(repository: Repository, experiment_id: str, arm: ArmSearch) -> ArmSearchView:
    return ArmSearchView(
        name=arm.name,
        num_configurations=arm.num_configurations,
        states=dict(arm.states),
        train_time_s=arm.train_time_s,
        best=_best(repository, experiment_id, arm),
    )


def _best(repository: Repository, experiment_id: str, arm: ArmSearch) -> BestView | None:
    best = arm.best
    if best is None:
        return None
    configuration, chains = repository.work.configuration(experiment_id, arm.name, best.number)
    return BestView(configuration=configuration, val_accuracy=best.val_accuracy, chains=chains, complete=best.complete)

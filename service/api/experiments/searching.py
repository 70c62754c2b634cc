"""How far an experiment's search is, as the API tells it."""

from collections.abc import Sequence

from service.api.experiments.schemas import ArmSearchView, BestView, SearchView
from service.control.searching import ArmSearch, expected_end, progress
from service.events import utc_now
from service.spec import parse
from service.states import ExperimentState
from service.store.tables import ChainRow, ExperimentRow


def search_view(row: ExperimentRow, chains: Sequence[ChainRow]) -> SearchView | None:
    """How far it is, by all its chains; None where there is no search."""
    if row.spec.get("search") is None:
        return None
    spec = parse(row.spec)
    assert spec.search is not None
    end = None
    # Where it was paused, or tried again, what is done was not done since then.
    at_a_stretch = row.started_at is not None and row.queued_at <= row.started_at and row.generation == 1
    if row.state == ExperimentState.RUNNING and row.started_at is not None and at_a_stretch:
        end = expected_end(chains, row.started_at, utc_now())
    return SearchView(
        method=spec.search.method,
        goal=list(spec.search.goal),
        early_stopping=None if spec.early_stopping is None else spec.early_stopping.name,
        arms=[_arm(arm) for arm in progress([arm.name for arm in spec.arms], chains)],
        expected_end=end,
    )


def _arm(arm: ArmSearch) -> ArmSearchView:
    return ArmSearchView(
        name=arm.name,
        num_configurations=arm.num_configurations,
        states=dict(arm.states),
        train_time_s=arm.train_time_s,
        best=None if arm.best is None else BestView.model_validate(arm.best, from_attributes=True),
    )

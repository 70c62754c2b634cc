"""The outcomes of chains so far, from the ledger, in the form from which results are computed."""

from collections.abc import Sequence
from math import isfinite

from service.chain_outcomes import READ, ChainOutcome, StageOutcome
from service.plan import Chain, StagePlan
from service.runner.chains.board import StageId
from service.runner.chains.ledger import Ledger
from service.states import WorkState


def outcomes_so_far(ledger: Ledger, also: str | None = None) -> list[ChainOutcome]:
    """Return the outcomes of all chains, in the plan's order; `also` is a metric besides those in `READ`."""
    names = READ if also is None or also in READ else (*READ, also)
    return [_of_chain(ledger, chain, names) for chain in ledger.chains.values()]


def _of_chain(ledger: Ledger, chain: Chain, names: Sequence[str]) -> ChainOutcome:
    state = ledger.chain_state(chain)
    last = chain.train_stages[-1] if state is WorkState.SUCCEEDED else None
    stages = [_of_stage(ledger, chain, stage, state, names if stage == last else ()) for stage in chain.stages]
    return ChainOutcome(
        id=chain.id,
        arm=chain.arm,
        seed=chain.seed,
        configuration=chain.number,
        state=state,
        hyperparameters=dict(chain.hyperparameters),
        stages=stages,
    )


def _of_stage(ledger: Ledger, chain: Chain, stage: StagePlan, state: WorkState, names: Sequence[str]) -> StageOutcome:
    progress = ledger.progress(StageId(chain.id, stage.index))
    failure = None if progress.done is None else progress.done.failure
    metrics = progress.last.metrics if progress.last is not None else {}
    return StageOutcome(
        index=stage.index,
        kind=stage.kind,
        state=state if progress.done is None else progress.done.state,
        train_time_s=progress.train_time_s,
        initial_sha256=progress.started[0].initial_sha256 if progress.started else None,
        failure=None if failure is None else failure.as_json(),
        test_set=None if progress.test_set is None else progress.test_set.model_dump(),
        metrics={name: metrics[name] for name in names if name in metrics and isfinite(metrics[name])},
    )

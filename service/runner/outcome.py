"""The outcome of an experiment, from the ends of its chains and the state of its outbox."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from service.events import ChainChanged, Outcome
from service.failures import Failure, FailureSummary, FailureType
from service.plan import Chain
from service.runner.chains.board import StageId
from service.runner.chains.bookkeeping import Bookkeeping
from service.runner.chains.event_file import EventFile
from service.runner.chains.ledger import ChainStop, Ledger
from service.runner.shipping.outbox import Outbox
from service.runner.shipping.run_content import chain_name
from service.states import ExperimentState, WorkState

# How many shared failures the reason of an experiment quotes at most, because their messages are long.
MAX_ALIKE = 3


def outcome_of(books: Bookkeeping, outbox: Outbox) -> Outcome:
    """Return the outcome: succeeded, or failed.

    An experiment fails if a chain that its answer needs failed, if MLflow refuses its points, or if its search has no
    result for an arm.
    """
    board, ledger = books.board, books.ledger
    assert board.over, "Tune has ended, and something is left to run"
    failed = [chain for chain in board.failed_chains if books.referee.needs(chain)]
    reasons, failure = [], None
    if outbox.refusal is not None:
        left = f"{num} points are" if (num := outbox.pending()) else "the end of its runs is"
        reasons = [f"{left} not in MLflow, which refuses: {outbox.refusal}"]
        failure = Failure.of(FailureType.TRACKING, f"MLflow refuses what is logged: {outbox.refusal}").summary
    if failed:
        first = ledger.failure(failed[0])
        reasons, failure = (
            [failed_in_words(failed, board.num_chains, ledger), *reasons],
            first.summary if first is not None else failure,
        )
    for arm, stop in _arms_without_result(ledger):
        reasons.append(
            f"every configuration of {arm!r} was stopped, one of them for this reason: {stop.reason}; "
            "a retry cannot change that: start a new search"
        )
        failure = failure or (stop.failure.summary if stop.failure is not None else None)
    state = ExperimentState.FAILED if reasons else ExperimentState.SUCCEEDED
    return Outcome(state=state, reason="; ".join(reasons), failure=failure)


def _arms_without_result(ledger: Ledger) -> Iterator[tuple[str, ChainStop]]:
    """Yield each arm whose configurations were all stopped by a search, with the stop of one of its chains."""
    ended: dict[tuple[str, int], bool] = {}
    stops: dict[str, ChainStop] = {}
    for chain in ledger.chains.values():
        key, stop = (chain.arm, chain.number), ledger.stop_of(chain)
        stop = None if stop is not None and stop.is_needless else stop
        ended[key] = ended.get(key, True) and stop is None
        if stop is not None and (chain.arm not in stops or stop.failure is not None):
            stops[chain.arm] = stop
    with_result = {arm for (arm, _), is_so in ended.items() if is_so}
    yield from ((arm, stop) for arm, stop in stops.items() if arm not in with_result)


def failed_in_words(failed: Sequence[Chain], num_chains: int, ledger: Ledger) -> str:
    """Return in words how many chains failed. Show a failure that several chains share, and name the other chains."""
    # The chains of the ledger have their proposed values. The chains of the board do not.
    failed = [ledger.chains[chain.id] for chain in failed]
    head = f"{len(failed)} of {num_chains} chains failed"
    alike: list[tuple[int, str]] = []
    names: list[str] = []
    for failure, chains in _by_failure(failed, ledger).items():
        if failure is None or len(chains) == 1:
            names += map(chain_name, chains)
        else:
            alike.append((len(chains), f"{failure.type}: {failure.message}"))
    if len(alike) == 1 and not names:
        return f"{head} alike: {alike[0][1]}"
    parts = [f"{num} chains failed alike: {text}" for num, text in alike[:MAX_ALIKE]]
    if len(alike) > MAX_ALIKE:
        parts.append(f"{sum(num for num, _ in alike[MAX_ALIKE:])} more in {len(alike) - MAX_ALIKE} other ways")
    if names:
        parts.append(", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else ""))
    return f"{head}: {'; '.join(parts)}"


def _by_failure(chains: list[Chain], ledger: Ledger) -> dict[FailureSummary | None, list[Chain]]:
    """Return the chains by their failure, the most frequent failure first."""
    groups: dict[FailureSummary | None, list[Chain]] = {}
    for chain in chains:
        failure = ledger.failure(chain)
        groups.setdefault(None if failure is None else failure.summary, []).append(chain)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def is_end(outcome: Outcome, cancelled: Path) -> bool:
    """Return whether an outcome ends the experiment.

    Args:
        outcome: The outcome of a driver. A driver that is stopped has the outcome cancelled, even if its experiment is
            only paused, or continues on another node.
        cancelled: The file that is there if the experiment is cancelled.
    """
    return outcome.state is not ExperimentState.CANCELLED or cancelled.exists()


def announce_cancelled(ledger: Ledger, events: EventFile) -> None:
    """Announce that every stage and chain that has not ended is cancelled."""
    for chain in ledger.chains.values():
        if ledger.chain_state(chain) is WorkState.STOPPED:
            continue
        for stage in chain.stages:
            stage_id = StageId(chain.id, stage.index)
            if ledger.progress(stage_id).done is None:
                events.append(ledger.stage_event(stage_id, WorkState.CANCELLED))
        if ledger.chain_state(chain) not in (WorkState.SUCCEEDED, WorkState.FAILED):
            events.append(ChainChanged(chain=chain.id, state=WorkState.CANCELLED))

"""The bookkeeping of an experiment's chains: board, ledger, search and referee."""

from collections.abc import Callable
from dataclasses import dataclass

from service.plan import Chain
from service.runner.chains.board import Board, Chooser
from service.runner.chains.chain_order import ChainOrder
from service.runner.chains.ledger import Ledger
from service.runner.chains.referee import Referee
from service.runner.chains.resampler import Resampler
from service.runner.chains.stage_costs import StageCosts
from service.runner.chains.study import Study
from service.spec import Experiment
from service.states import WorkState


@dataclass(frozen=True)
class Bookkeeping:
    """All that a driver knows of its chains.

    Attributes:
        board: Which stage may run next.
        ledger: What is committed of every stage.
        study: The search. Without a search in the spec, it decides nothing.
        referee: Adds seeds until the arms are decided. Without `until` in the spec, it decides nothing.
        resampler: Resamples the pairs of arms whose chains have ended.
        costs: The expected times of stages.
        order: Chooses the chain that runs next, unless a search or a referee decides what runs.
    """

    board: Board
    ledger: Ledger
    study: Study
    referee: Referee
    resampler: Resampler
    costs: StageCosts
    order: ChainOrder


def open_books(spec: Experiment, ledger: Ledger, study: Study, referee: Referee, resampler: Resampler) -> Bookkeeping:
    """Return the bookkeeping of an experiment, whose decisions so far are known to its search and its referee."""
    costs = StageCosts(ledger)
    order = ChainOrder(costs)
    # A search needs the results of a rung together, and a referee needs those of the next seed.
    is_free = spec.search is None and spec.until is None
    board = make_board(ledger, study, referee, order if is_free else None)
    return Bookkeeping(board, ledger, study, referee, resampler, costs, order)


def make_board(ledger: Ledger, study: Study, referee: Referee, choose: Chooser | None = None) -> Board:
    """Return a board with the committed state of the chains. The limit of open configurations is set later.

    Args:
        ledger: The committed state of the stages.
        study: The search.
        referee: Adds seeds until the arms are decided.
        choose: Chooses the chain that runs next; None: chains that have started come first.
    """
    chains = [*ledger.chains.values()]

    def ids(is_so: Callable[[Chain], bool]) -> frozenset[str]:
        return frozenset(chain.id for chain in chains if is_so(chain))

    return Board(
        chains,
        done={chain.id: ledger.done_stages(chain) for chain in chains},
        failed=ids(ledger.has_failed),
        stopped=ids(lambda chain: ledger.chain_state(chain) is WorkState.STOPPED),
        started=ids(lambda chain: ledger.chain_state(chain) is WorkState.RUNNING),
        held=ids(lambda chain: study.waits(chain.id) or referee.waits(chain)),
        choose=choose,
    )

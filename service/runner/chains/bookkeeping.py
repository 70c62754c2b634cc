"""The bookkeeping of an experiment's chains: board, ledger, search and referee."""

from collections.abc import Callable
from dataclasses import dataclass

from service.plan import Chain
from service.runner.chains.board import Board
from service.runner.chains.ledger import Ledger
from service.runner.chains.referee import Referee
from service.runner.chains.resampler import Resampler
from service.runner.chains.study import Study
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
    """

    board: Board
    ledger: Ledger
    study: Study
    referee: Referee
    resampler: Resampler


def make_board(ledger: Ledger, study: Study, referee: Referee) -> Board:
    """Return a board with the committed state of the chains. The limit of open configurations is set later."""
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
    )

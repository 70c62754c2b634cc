"""The arms of an experiment so far: how many chains have ended, and their test accuracies, from the ledger."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from service.plan import Chain
from service.runner.chains.board import StageId
from service.runner.chains.ledger import Ledger
from service.runner.shipping.run_content import TEST_ACCURACY
from service.search.wording import in_few_digits
from service.states import WorkState

# The number of rows that are shown at most: a search has a row for each configuration.
MAX_ROWS = 40
# The longest name in a table, in characters. With MAX_ROWS, a table fits into a tag of an MLflow experiment.
MAX_NAME_LENGTH = 120


@dataclass
class ArmRow:
    """An arm, or one of its configurations in a search.

    Attributes:
        name: The arm's name, and the values of the configuration.
        accuracies: The last test accuracy of each chain that has succeeded, as a fraction.
        num_chains: The number of its chains.
        num_failed: The number of chains that have failed.
        num_stopped: The number of chains that a search has stopped.
    """

    name: str
    accuracies: list[float] = field(default_factory=list)
    num_chains: int = 0
    num_failed: int = 0
    num_stopped: int = 0

    @property
    def mean(self) -> float | None:
        """The mean accuracy; None without a chain that has succeeded."""
        return fmean(self.accuracies) if self.accuracies else None

    @property
    def std(self) -> float | None:
        """The standard deviation over the chains, with n - 1; None for fewer than two chains."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else None


def arm_rows(ledger: Ledger) -> list[ArmRow]:
    """Return a row for each arm and configuration, in the order of the plan."""
    rows: dict[tuple[str, int], ArmRow] = {}
    for chain in ledger.chains.values():
        row = rows.setdefault((chain.arm, chain.number), ArmRow(_name(chain)))
        row.num_chains += 1
        state = ledger.chain_state(chain)
        row.num_failed += state is WorkState.FAILED
        row.num_stopped += state is WorkState.STOPPED
        if state is WorkState.SUCCEEDED:
            last = ledger.progress(StageId(chain.id, chain.train_stages[-1].index)).last
            assert last is not None
            row.accuracies.append(last.metrics[TEST_ACCURACY])
    return list(rows.values())


def in_lines(rows: Sequence[ArmRow]) -> list[str]:
    """Return a line for each row: "TIT: test accuracy 95.10 % ± 0.20 (n=3 of 4), 1 failed"."""
    return [_line(row) for row in rows[:MAX_ROWS]] + _more(rows)


def _line(row: ArmRow) -> str:
    std = "" if row.std is None else f" ± {_percent(row.std)}"
    accuracy = "no result" if row.mean is None else f"test accuracy {_percent(row.mean)} %{std}"
    counts = (("failed", row.num_failed), ("stopped", row.num_stopped))
    others = "".join(f", {num} {state}" for state, num in counts if num)
    return f"{row.name}: {accuracy} (n={len(row.accuracies)} of {row.num_chains}){others}"


def as_markdown(rows: Sequence[ArmRow]) -> str:
    """Return the rows as a table in Markdown."""
    head = "| arm | n | mean test accuracy (%) | std | failed | stopped |"
    table = [head, "|---|---|---|---|---|---|", *(_cells(row) for row in rows[:MAX_ROWS])]
    return "\n".join([*table, *(f"\n{line}" for line in _more(rows))])


def _cells(row: ArmRow) -> str:
    name = re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", row.name)
    n = f"{len(row.accuracies)} of {row.num_chains}"
    return f"| {name} | {n} | {_percent(row.mean)} | {_percent(row.std)} | {row.num_failed} | {row.num_stopped} |"


def _more(rows: Sequence[ArmRow]) -> list[str]:
    return [f"… and {len(rows) - MAX_ROWS} more"] if len(rows) > MAX_ROWS else []


def _name(chain: Chain) -> str:
    """Return the name of a chain's arm and configuration; a long one is truncated."""
    name = " · ".join([chain.arm, *in_few_digits(chain.hyperparameters)])
    return name if len(name) <= MAX_NAME_LENGTH else name[: MAX_NAME_LENGTH - 1] + "…"


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f}"

"""Journals on storage: the proposals and decisions of a search, and the decisions on pairs of arms, in order.

An entry is written before the driver acts on it, and is never changed.

Each entry is a file of its own. The files are numbered without gaps, and a file can be created only once. If two
drivers write at the same time, the slower one finds that the file exists, reads it and decides again. So two drivers
cannot contradict each other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, TypeAdapter

from service.failures import Failure
from service.plan import Chain, with_configuration
from service.runner.commits.records import StoredRecord
from service.spec import Experiment
from service.statistics.verdict import Verdict
from tet_core.files import write_once


class Proposal(StoredRecord):
    """The values that a configuration of an arm tries; None if nothing was left to try."""

    type: Literal["proposal"] = "proposal"
    arm: str
    number: int
    values: dict[str, Any] | None
    at_ms: int


class Decision(StoredRecord):
    """The decision whether a configuration continues after an epoch of a stage.

    `value` is the configuration's validation accuracy at that epoch, a mean over its seeds. It is None if one of the
    configuration's networks failed: its loss was not finite, a layer was dead, saturated or cut off, or it needed too
    much memory. `failure` then says which.
    """

    type: Literal["decision"] = "decision"
    arm: str
    number: int
    stage: int
    epoch: int
    goes_on: bool
    reason: str
    at_ms: int
    value: float | None = None
    failure: Failure | None = None


class DecidedPair(StoredRecord):
    """The decision on an arm against another, after `n` seeds in numeric order, of which `seed` is the last one.

    `low` and `high` are the ends of the confidence sequence of the mean difference; None if the arms are not
    comparable.
    """

    type: Literal["pair"] = "pair"
    arm: str
    to: str
    n: int
    seed: int
    verdict: Verdict
    low: float | None
    high: float | None
    at_ms: int


Entry = Proposal | Decision
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="type")])
_PAIR: TypeAdapter[DecidedPair] = TypeAdapter(DecidedPair)
E = TypeVar("E", bound=StoredRecord)


def as_proposed(spec: Experiment, chain: Chain, folder: Path) -> Chain:
    """Return a chain of the plan with the values that the search has proposed for it, if there are any."""
    if not chain.proposed:
        for entry in StudyJournal(folder).news():
            if isinstance(entry, Proposal) and (entry.arm, entry.number) == (chain.arm, chain.number) and entry.values:
                return with_configuration(spec, chain, entry.values)
    return chain


class Journal(Generic[E]):
    """The journal of one experiment, and the number of entries that were read.

    Args:
        folder: The journal's folder. The first `append` makes it.
        form: Reads an entry.
    """

    def __init__(self, folder: Path, form: TypeAdapter[E]) -> None:
        self._folder, self._form = folder, form
        self._num_read = 0

    def news(self) -> Iterator[E]:
        """Yield the entries that were not read yet, in order."""
        while True:
            try:
                content = self._file(self._num_read + 1).read_bytes()
            except FileNotFoundError:
                return
            self._num_read += 1
            yield self._form.validate_json(content)

    def append(self, entry: E) -> bool:
        """Write the next entry; return False if another driver has already written an entry there: then read `news`."""
        self._folder.mkdir(exist_ok=True)
        written = write_once(self._file(self._num_read + 1), entry.model_dump_json().encode() + b"\n")
        self._num_read += written
        return written

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"


class StudyJournal(Journal[Entry]):
    """The journal of a search."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _ENTRY)


class PairJournal(Journal[DecidedPair]):
    """The decisions on the pairs of arms, one for each pair."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _PAIR)

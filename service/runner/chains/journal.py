"""What a search has proposed and decided, in order, on storage: written before it acts, and never taken back.

Each entry is a file of its own, numbered without a gap, which whoever is first makes. Who comes second reads what
the other has written and thinks again. So of two drivers neither can contradict the other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from service.failures import Failure
from service.plan import Chain, with_configuration
from service.runner.commits.records import StoredRecord
from service.spec import Experiment
from tet_core.files import write_once


class Proposal(StoredRecord):
    """What is tried as an arm's configuration of this number; `values` is None where nothing was left to try."""

    type: Literal["proposal"] = "proposal"
    arm: str
    number: int
    values: dict[str, Any] | None
    at_ms: int


class Decision(StoredRecord):
    """Whether a configuration goes on behind an epoch of a stage.

    `value` is its validation accuracy there, a mean over its seeds; None where one of its networks broke down, which
    `failure` tells: its loss is not finite, or its layers are dead, saturated or cut off.
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


Entry = Proposal | Decision
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="type")])


def as_proposed(spec: Experiment, chain: Chain, folder: Path) -> Chain:
    """A chain of the plan as it is run: with what the search has proposed for it, if it learns and has."""
    if not chain.proposed:
        for entry in StudyJournal(folder).news():
            if isinstance(entry, Proposal) and (entry.arm, entry.number) == (chain.arm, chain.number) and entry.values:
                return with_configuration(spec, chain, entry.values)
    return chain


class StudyJournal:
    """One experiment's journal, as far as it was read.

    Args:
        folder: Where it lies, or will.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._num_read = 0

    def news(self) -> Iterator[Entry]:
        """What stands behind what was read, in order; it then has been read."""
        while True:
            try:
                content = self._file(self._num_read + 1).read_bytes()
            except FileNotFoundError:
                return
            self._num_read += 1
            yield _ENTRY.validate_json(content)

    def append(self, entry: Entry) -> bool:
        """Write an entry behind all that was read; False where somebody else has written one there: see `news`."""
        self._folder.mkdir(exist_ok=True)
        written = write_once(self._file(self._num_read + 1), entry.model_dump_json().encode() + b"\n")
        self._num_read += written
        return written

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"

"""The records of a check on storage: the report of a first node and, if it found faults, that of a second node.

Each report is a file that can be created only once, and that is never changed. So two drivers cannot contradict each
other, and a driver that starts later reads the reports that exist.
"""

from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from service.failures import Failure
from service.runner.commits.records import StoredRecord
from tet_core.files import write_once


class FaultScope(StrEnum):
    """The stages that a fault hits."""

    DATA = "data"  # all with the same data
    SUBJECT = "subject"  # all with the same key


class CheckFault(StoredRecord):
    """A failure that all stages with a key would meet; see `check_subjects` for the keys.

    Attributes:
        scope: What the key names.
        key: The key of the data or of the configuration.
        failure: The failure.
        of_machine: Whether the failure comes from the machine, such as from a broken GPU. It then condemns nothing.
    """

    scope: FaultScope
    key: str
    failure: Failure
    of_machine: bool = False


class CheckReport(StoredRecord):
    """The report of one node.

    Attributes:
        host: The node's host name; empty if no node was asked, or if the node did not answer.
        node: The node's id in Ray; empty if it is not known.
        at_ms: The time of the report, in ms since 1970.
        num_subjects: How many configurations there were.
        checked: The keys of the configurations that were checked in time.
        faults: The faults that were found.
    """

    host: str
    node: str = ""
    at_ms: int
    num_subjects: int
    checked: tuple[str, ...] = ()
    faults: tuple[CheckFault, ...] = ()


def write_report(file: Path, report: CheckReport) -> None:
    """Write a report, unless there is one."""
    file.parent.mkdir(exist_ok=True)
    write_once(file, report.model_dump_json().encode() + b"\n")


def read_report(file: Path) -> CheckReport | None:
    """Return a report; None if there is none, or if it is damaged.

    Raises:
        OSError: If the storage does not answer.
    """
    try:
        return CheckReport.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None

"""The outcome of a check: the stages that cannot run. Their chains end at once, with the failure that was found.

One node checks, when the first trial starts. If it finds faults, another node looks at them too, because a node may
lack a folder or a package that others have. A fault condemns only if both nodes find it, or if there is no other node.
A fault that comes from a machine, such as from a broken GPU, never condemns: the node's other GPUs may work.
"""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from service.failures import Failure
from service.plan import Chain
from service.runner.chains.board import StageId
from service.runner.checking.check_records import CheckFault, CheckReport, FaultScope, read_report, write_report
from service.runner.checking.check_subjects import configurations_of, data_key, subject_key, subjects_of, trained
from service.runner.checking.second_opinion import AskAnother, StoppedAsking
from service.spec.experiment import StageConfig
from service.storage import ExperimentFolder
from tet_core.config import TrainConfig

log = logging.getLogger(__name__)

# How many trials of one driver may try to check: a trial can be lost before it has reported.
MAX_TRIES = 3
# The shortest time, in s, between two looks for the report.
LOOK_EVERY_S = 0.5
# The same once no trial will write a report: only a storage that shows files late can still bring one.
LATE_LOOK_EVERY_S = 60.0


class Condemnation:
    """The check of one generation, as the driver knows it.

    Args:
        folder: The experiment's folder.
        generation: The experiment's generation.
        chains: Returns the experiment's chains, with the values that a search has proposed so far.
        ask_another: Asks another node about the faults that the first one has found.
        clock: A monotonic clock, in s.
    """

    def __init__(
        self,
        folder: ExperimentFolder,
        generation: int,
        chains: Callable[[], Iterable[Chain]],
        ask_another: AskAnother,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first_file, self._second_file = folder.check(generation, 1), folder.check(generation, 2)
        self._chains, self._ask_another, self._clock = chains, ask_another, clock
        self._tries_left, self._next_look = MAX_TRIES, 0.0
        # The stage whose trial was asked to check.
        self._checker: StageId | None = None
        self._reports: tuple[CheckReport, ...] = ()
        # The answer of the second node, until it is stored.
        self._answer: CheckReport | None = None
        self._faults: frozenset[tuple[FaultScope, str]] = frozenset()

    def request(self, stage: StageId, config: StageConfig) -> dict[str, Any]:
        """Return the fields that ask the trial of a stage to make the check.

        Return none if the check is made, if another trial makes it, or if no try is left.
        """
        if self._reports or self._checker is not None or not self._tries_left:
            return {}
        self._checker, self._tries_left = stage, self._tries_left - 1
        subjects = [each.model_dump(mode="json") for each in subjects_of(trained(config), self._chains())]
        return {"check_file": str(self._first_file), "check_subjects": subjects}

    def ended(self, stage: StageId) -> None:
        """Note that a trial has ended. If it had to check, and was lost before its report, the next trial checks."""
        if stage == self._checker:
            self._checker = None
            self.look(at_once=True)

    def look(self, *, at_once: bool = False) -> None:
        """Look for the report of the first node, and ask a second one if needed.

        Call it often: most calls only compare the time. If the storage does not answer, a later call looks again.

        Args:
            at_once: Whether to look even if the last look was a moment ago.
        """
        now = self._clock()
        if self._reports or not (at_once or now >= self._next_look):
            return
        is_late = self._checker is None and not self._tries_left
        self._next_look = now + (LATE_LOOK_EVERY_S if is_late else LOOK_EVERY_S)
        with suppress(StoppedAsking, OSError):
            first = read_report(self._first_file)
            if first is not None:
                self._decide(first)

    @property
    def condemns(self) -> bool:
        """Whether there are stages that cannot run on any node."""
        return bool(self._faults)

    def failure_of(self, config: StageConfig) -> Failure | None:
        """Return the failure that a stage would meet on any node; None if none is known."""
        for fault in self._hitting(self._reports[:1], config):
            if _identity(fault) in self._faults:
                return fault.failure
        return None

    def passes_elsewhere(self, config: StageConfig, host: str) -> bool:
        """Return whether a node other than `host` has found no fault in a stage."""
        key = subject_key(trained(config))
        others = [report for report in self._reports if report.host not in ("", host) and key in report.checked]
        return any(not self._hitting([report], config) for report in others)

    def _decide(self, first: CheckReport) -> None:
        if not first.faults:
            self._reports = (first,)
            return
        second = read_report(self._second_file)
        if second is None:
            second = self._answer = self._answer or self._opinion_on(first)
            write_report(self._second_file, second)
            second = read_report(self._second_file) or second  # another driver may have been faster
        self._reports = (first, second)
        self._faults = _condemning(first) & _condemning(second)
        for fault in first.faults:
            where = "on every node asked" if _identity(fault) in self._faults else f"only on host {first.host}"
            log.warning("found %s: %s: %s", where, fault.failure.type, fault.failure.message)

    def _opinion_on(self, first: CheckReport) -> CheckReport:
        """Return the report of another node. If there is no other node, the first one decides."""
        return self._ask_another(first, self._accused(first)) or first.model_copy(update={"host": "", "node": ""})

    def _accused(self, first: CheckReport) -> list[TrainConfig]:
        """Return a configuration for each fault of the first report."""
        configs = configurations_of(self._chains())
        found = {_identity(fault): config for config in configs for fault in self._hitting([first], config)}
        return [*found.values()]

    @staticmethod
    def _hitting(reports: Iterable[CheckReport], config: StageConfig) -> list[CheckFault]:
        train = trained(config)
        keys = {(FaultScope.DATA, data_key(train)), (FaultScope.SUBJECT, subject_key(train))}
        return [fault for report in reports for fault in report.faults if _identity(fault) in keys]


def _condemning(report: CheckReport) -> frozenset[tuple[FaultScope, str]]:
    return frozenset(_identity(fault) for fault in report.faults if not fault.of_machine)


def _identity(fault: CheckFault) -> tuple[FaultScope, str]:
    return fault.scope, fault.key

"""The functions that an experiment's answer is made of, by part. Every process of the measured stack loads this module.

All of them are names that other modules may use. `resolved` looks each of them up, so that a renamed one is an error.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any


class AnswerPart(StrEnum):
    """A part of the answer."""

    BITS = "bits"
    CURVES = "curves"
    RESULTS_RUN = "results run"
    VIEW = "view"
    DESCRIPTION = "description"


class PartBy(StrEnum):
    """What decides to which part a call belongs: nothing, or the class of something."""

    NAME = "name"
    OWNER = "owner"  # the object whose method is called
    ARGUMENT = "argument"  # the first argument
    RESULT = "result"
    PENDING = "pending"  # the rows that a session of SQLAlchemy is about to write


@dataclass(frozen=True)
class TimedName:
    """A function or method that is timed.

    Attributes:
        module: Its module.
        name: Its name in the module; of a method, with its class.
        part: The part that its time belongs to; None: that of the timed function that calls it, if there is one.
        by: What decides whether a call counts.
        classes: Unless `by` is NAME, the part of each class, by "module:class". Other classes do not count.
        is_lent: Whether a call within another part belongs to that part.
        not_from: A function of the same module whose calls do not count; empty: all count.
    """

    module: str
    name: str
    part: AnswerPart | None = None
    by: PartBy = PartBy.NAME
    classes: Mapping[str, AnswerPart] = field(default_factory=dict)
    is_lent: bool = False
    not_from: str = ""

    @property
    def key(self) -> str:
        """The name with its module."""
        return f"{self.module}.{self.name}"

    def part_of(self, value: Any) -> AnswerPart | None:
        """Return the part of a call, by what decides; None: the call does not count."""
        values = value if self.by is PartBy.PENDING else (value,)
        names = [f"{each.__module__}:{each.__qualname__}" for one in values for each in type(one).__mro__]
        return next((self.classes[name] for name in names if name in self.classes), None)


_EVENTS = {
    "service.events:StageCurved": AnswerPart.CURVES,
    "service.events:PairResampled": AnswerPart.BITS,
}
_ROWS = {
    "service.store.tables:CurvesRow": AnswerPart.CURVES,
    "service.store.tables:ResampledPairRow": AnswerPart.BITS,
}
_FILLERS = {
    "service.control.curves_filler:CurvesFiller": AnswerPart.CURVES,
    "service.control.resampling_filler:ResamplingFiller": AnswerPart.BITS,
}
_MLFLOW_RUNS = "service.runner.shipping.mlflow_runs"
_PAGE = "service.runner.shipping.described_experiment"
# The requests to MLflow, whose server works while they wait.
REQUEST = TimedName("requests.sessions", "Session.send", is_lent=True)
# The points of all epochs in MLflow, those of the chains' curves among them. They are no part of the answer.
POINTS = TimedName(_MLFLOW_RUNS, "MlflowRuns.log_metrics")

TIMED = (
    # In trials. `num_correct` is for the accuracy.
    TimedName("tet_core.measure.evaluation", "are_correct", AnswerPart.BITS, not_from="num_correct"),
    TimedName("service.runner.commits.attempt", "Attempt.write_sample_bits", AnswerPart.BITS),
    # In the driver.
    TimedName("service.runner.chains.resampler", "Resampler.look", AnswerPart.BITS),
    TimedName("service.runner.chains.resampler", "Resampler.finish", AnswerPart.BITS),
    TimedName("service.sample_bits", "read_sample_bits", AnswerPart.BITS),
    TimedName("service.statistics.resampling", "resampled_difference", AnswerPart.BITS),
    TimedName("service.curves", "as_text", AnswerPart.CURVES, is_lent=True),
    TimedName("service.runner.chains.event_file", "EventFile.append", by=PartBy.ARGUMENT, classes=_EVENTS),
    TimedName(_PAGE, "DescribedExperiment.ship_view", AnswerPart.VIEW),
    TimedName("service.runner.shipping.saved_view", "view_tags", AnswerPart.VIEW),
    TimedName(_PAGE, "DescribedExperiment.describe", AnswerPart.DESCRIPTION),
    TimedName("service.results.answering", "answer_of", AnswerPart.DESCRIPTION, is_lent=True),
    TimedName("service.runner.shipping.note_text", "our_part", AnswerPart.DESCRIPTION),
    TimedName("service.runner.shipping.comparison_files", "comparison_files", AnswerPart.RESULTS_RUN),
    TimedName(_MLFLOW_RUNS, "MlflowRuns.results_run", AnswerPart.RESULTS_RUN),
    TimedName(_MLFLOW_RUNS, "MlflowRuns.log_content", AnswerPart.RESULTS_RUN),
    TimedName(_MLFLOW_RUNS, "MlflowRuns.close", AnswerPart.RESULTS_RUN),
    TimedName("service.runner.shipping.final_report", "FinalReport.ship", AnswerPart.RESULTS_RUN),
    TimedName("service.results.report_content", "report_content", AnswerPart.RESULTS_RUN),
    TimedName("service.figures.catalogue_of_figures", "draw", AnswerPart.RESULTS_RUN),
    TimedName("service.results.report_forms", "report_text", AnswerPart.RESULTS_RUN),
    POINTS,
    REQUEST,
    # In the control process.
    TimedName("pydantic.type_adapter", "TypeAdapter.validate_json", by=PartBy.RESULT, classes=_EVENTS),
    TimedName("service.curves", "from_text", AnswerPart.CURVES, is_lent=True),
    TimedName("service.store.stored_curves", "StoredCurves.put", AnswerPart.CURVES),
    TimedName("service.store.stored_resampled", "StoredResampled.put", AnswerPart.BITS),
    TimedName("sqlalchemy.orm.session", "Session.flush", by=PartBy.PENDING, classes=_ROWS),
    TimedName("service.control.filler", "Filler.round", by=PartBy.OWNER, classes=_FILLERS),
)


def check_names() -> None:
    """Look up every name, and every class that decides about a part.

    Raises:
        LookupError: A name does not exist, or is no ordinary function; the text has the name.
    """
    for timed in TIMED:
        resolved(timed, _module(timed.module))
        if timed.not_from:
            resolved(TimedName(timed.module, timed.not_from), _module(timed.module))
        for key in timed.classes:
            module, _, name = key.partition(":")
            if not isinstance(getattr(_module(module), name, None), type):
                raise LookupError(f"{module} has no class {name}, by which {timed.key} is timed")


def resolved(timed: TimedName, module: ModuleType) -> tuple[Any, str, Callable[..., Any]]:
    """Return the module or class that has a timed function, the function's name there, and the function.

    Raises:
        LookupError: As for `check_names`.
    """
    *owners, name = timed.name.split(".")
    owner: Any = module
    for each in owners:
        owner = getattr(owner, each, None)
    function = vars(owner).get(name) if owner is not None else None
    if not isinstance(function, FunctionType):
        raise LookupError(f"{timed.module} has no function {timed.name}, which this benchmark times")
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise LookupError(f"{timed.key} cannot be timed: it returns before its work is done")
    return owner, name, function


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise LookupError(f"there is no module {name}, of which this benchmark times functions") from error

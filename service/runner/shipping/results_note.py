"""What the run "results" says about its files: a description for people, and a tag with the names of missing files."""

from collections.abc import Sequence

from service.runner.shipping.final_files import FIGURES, FORMS, REPORT
from service.runner.shipping.mlflow_runs import NOTE_TAG
from service.states import ExperimentState

# The tag with the names of files that the run lacks, separated by commas; empty if it has all.
MISSING_TAG = "tet.missing"


def running_tags() -> dict[str, str]:
    """Return the tags of the run while the experiment runs."""
    words = (
        f"The comparison so far. `{REPORT}` and the figures follow when the experiment ends. "
        "Those that are here already show an earlier end."
    )
    return {NOTE_TAG: words, MISSING_TAG: ",".join([*(f"report.{form}" for form in FORMS), FIGURES])}


def ended_tags(state: ExperimentState, generation: int, missing: Sequence[str]) -> dict[str, str]:
    """Return the tags of the run after the experiment has ended.

    Args:
        state: The state in which it ended.
        generation: The generation that ended.
        missing: The names of the files that could not be made or uploaded.
    """
    words = f"The report (`{REPORT}`), the figures and the comparison of generation {generation}: {state}."
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        words += f" Missing, because of an error that the driver's log has: {names}. The API makes them again."
    return {NOTE_TAG: words, MISSING_TAG: ",".join(missing)}

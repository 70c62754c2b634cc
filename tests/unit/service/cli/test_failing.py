"""Tests of the texts about failures."""

from service.answers.chains import FailureView
from service.cli.failing import explained, failed_stages
from service.failures import ABOUT, Failure, FailureType
from tests.unit.service.cli.examples import chain, experiment, stage

FAILURE = Failure.of(FailureType.STALLED, "the trial made no step for 1800 s (limits.stall_s)")


def test_each_stage_that_has_failed_has_a_line() -> None:
    shown = experiment(chain(stage(), stage(1, state="failed", failure=FAILURE.as_json())), state="failed")
    (line,) = failed_stages(shown)
    assert line.endswith("stalled: the trial made no step for 1800 s (limits.stall_s)")


def test_a_failure_is_explained_with_whose_it_is_and_what_to_do() -> None:
    assert list(explained(FailureView.model_validate(FAILURE.summary.as_json()))) == [
        "failure stalled, the cluster's: it was retried as often as it may be",
        "        the trial made no step for 1800 s (limits.stall_s)",
        f"means   {ABOUT[FailureType.STALLED].meaning}",
        f"do      {ABOUT[FailureType.STALLED].advice}",
    ]

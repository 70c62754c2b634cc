"""Tests of the texts about failures."""

import pytest

from service.answers.chains import FailureGroupView, FailureView
from service.answers.experiments import ExperimentView, OutcomeView
from service.cli.failing import after_retry, explained, failed_alike, failed_stages
from service.failures import ABOUT, Failure, FailureType
from tests.unit.service.cli.examples import chain, experiment, stage

FAILURE = Failure.of(FailureType.STALLED, "the trial made no step for 1800 s (limits.stall_s)")


def test_each_stage_that_has_failed_has_a_line() -> None:
    shown = experiment(chain(stage(), stage(1, state="failed", failure=FAILURE.as_json())), state="failed")
    (line,) = failed_stages(shown)
    assert line.endswith("stalled: the trial made no step for 1800 s (limits.stall_s)")


def test_a_failure_is_explained_with_whose_it_is_and_what_to_do() -> None:
    assert list(explained(FailureView.model_validate(FAILURE.summary.as_json()))) == [
        "failure stalled, the cluster's: it was retried as often as is allowed",
        "        the trial made no step for 1800 s (limits.stall_s)",
        f"means   {ABOUT[FailureType.STALLED].meaning}",
        f"do      {ABOUT[FailureType.STALLED].advice}",
    ]


WRONG = Failure.of(FailureType.DATA, "/data/images: holds 3 class folders (a, b, c); num_classes is 4")


def failed_at_seeds(num: int, **more: object) -> ExperimentView:
    """Return an experiment in which the chains of `num` seeds failed alike, and one more chain failed otherwise."""
    alike = [chain(stage(state="failed", failure=WRONG.as_json()), seed=seed, state="failed") for seed in range(num)]
    other = chain(stage(state="failed", failure=FAILURE.as_json()), arm="SDT", state="failed")
    return experiment(*alike, other, state="failed").model_copy(update=more)


def group(failure: Failure, num_chains: int) -> FailureGroupView:
    about = ABOUT[failure.type]
    values = {"num_chains": num_chains, "chain": "c", "remedy": about.remedy, "advice": about.advice}
    return FailureGroupView.model_validate(failure.summary.as_json() | values)


def test_equal_failures_have_one_line_with_their_number() -> None:
    assert list(failed_stages(failed_at_seeds(12))) == [
        f"12 chains failed alike: data: {WRONG.message} (TIT · seed 0 · stage 1 of 1 · T=4; "
        "TIT · seed 1 · stage 1 of 1 · T=4; TIT · seed 2 · stage 1 of 1 · T=4; and 9 more)",
        f"SDT · seed 0 · stage 1 of 1 · T=4: stalled: {FAILURE.message}",
    ]


def test_chains_that_are_not_shown_count_too() -> None:
    shown = failed_at_seeds(1, failures=[group(WRONG, 5_000), group(FAILURE, 1)])
    first, second = failed_stages(shown)
    assert (
        first == f"5000 chains failed alike: data: {WRONG.message} (TIT · seed 0 · stage 1 of 1 · T=4; and 4999 more)"
    )
    assert second.startswith("SDT · seed 0")
    assert failed_alike(shown) == [f"5000 chains failed alike: data: {WRONG.message}"]


@pytest.mark.parametrize("type_", [FailureType.SPEC, FailureType.DATA])
def test_the_advice_after_a_fault_of_the_spec_is_to_correct_it(type_: FailureType) -> None:
    advice = ABOUT[type_].advice
    assert "correct the spec and post it again (tet submit" in advice
    assert advice.endswith("A retry alone repeats it.")


@pytest.mark.parametrize(
    ("type_", "warns"),
    [
        (FailureType.SPEC, True),
        (FailureType.DATA, True),
        (FailureType.OUT_OF_MEMORY, True),
        (FailureType.MAX_TIME, False),
        (FailureType.NODE_LOST, False),
        (FailureType.TRACKING, False),
    ],
)
def test_a_retry_that_would_only_repeat_the_failure_is_accepted_with_a_warning(type_: FailureType, warns: bool) -> None:
    past = OutcomeView.model_validate(
        {
            "generation": 1,
            "state": "failed",
            "reason": "1 of 1 chains failed",
            "failure": Failure.of(type_, "...").summary.as_json(),
            "started_at": None,
            "finished_at": "2026-01-02T03:04:05Z",
        }
    )
    text = f"it failed with {type_}, which a retry alone repeats. {ABOUT[type_].advice}"
    assert after_retry([past]) == (text if warns else None)
    assert after_retry([]) is None

"""A made-up report, with the names that a test gives to its arms."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from service.answers.chains import FailureGroupView
from service.answers.comparisons import (
    ArmResultView,
    ArmsAtTView,
    BoundsView,
    ComparisonView,
    PairedDifferenceView,
    ResampledView,
    SeedValueView,
)
from service.answers.experiments import Links
from service.answers.reports import (
    DeviationView,
    FactsView,
    FlatnessView,
    ReportedArmView,
    ReportedChainView,
    ReportView,
)
from service.answers.units import Unit
from service.failures import FailureType
from service.reports.words import sha256_of
from service.states import ExperimentState
from service.statistics.verdict import Verdict


def arm(name: str, values: Sequence[float], versus: PairedDifferenceView | None = None) -> ArmResultView:
    mean = sum(values) / len(values) if values else None
    return ArmResultView(
        name=name,
        n=len(values),
        n_wanted=3,
        num_failed=3 - len(values),
        num_cancelled=0,
        num_stopped=0,
        values=[SeedValueView(seed=seed, value=value) for seed, value in enumerate(values)],
        mean=mean,
        std=0.01 if len(values) > 1 else None,
        low=None if mean is None else mean - 0.02,
        high=None if mean is None else mean + 0.02,
        train_time_s=12.5 if values else None,
        versus_baseline=versus,
    )


def pair(to: str) -> PairedDifferenceView:
    differences = [SeedValueView(seed=seed, value=value) for seed, value in enumerate((0.02, 0.03, 0.04))]
    return PairedDifferenceView(
        to=to,
        difference=0.03,
        low=0.0052,
        high=0.0548,
        n=3,
        differences=differences,
        missing=[],
        d_z=3.0,
        p=0.0351,
        p_holm=0.0002,
        p_sign_flip=0.25,
        detectable=0.0301,
        verdict=Verdict.BETTER,
        resampled=ResampledView(
            num_samples=10_000,
            other_samples=BoundsView(low=0.025, high=0.035),
            other_seeds_and_samples=BoundsView(low=-0.001, high=0.061),
            std_of_test_set=0.005,
            share_of_test_set=0.25,
        ),
        reason=None,
    )


def made_up_report(first: str = "SDT", second: str = "TET", **changes: Any) -> ReportView:
    """Return a report of two arms and three seeds, with everything that a report can have."""
    arms = [arm(first, (0.90, 0.91, 0.92)), arm(second, (0.92, 0.94, 0.96), pair(first))]
    verdict = f"{second} is better than {first} by 3.00 points [0.52, 5.48], n=3, p=0.001 or less."
    comparison = ComparisonView(
        quantity="test/accuracy", baseline=first, arms=arms, verdicts=[verdict], notes=[verdict, f"{first}: a note"]
    )
    plain = [arm(first, (0.90, 0.91, 0.92)), arm(second, (0.92, 0.94))]
    further = [
        ComparisonView(quantity="train_time_s", unit=Unit.SECONDS, baseline=first, arms=plain),
        ComparisonView(
            quantity="time_sweep/accuracy", baseline=first, arms=[], by_T=[ArmsAtTView(T=T, arms=plain) for T in (2, 4)]
        ),
    ]
    spec = {"name": "a test", "arms": [{"name": first}, {"name": second}], "note": "``` </code><script>"}
    failure = FailureGroupView.model_validate(
        {
            "type": FailureType.DATA,
            "class": "user",
            "message": f"{first} | failed <b>",
            "num_chains": 2,
            "chain": "ab",
            "remedy": "repair",
            "advice": "repair it",
        }
    )
    values: dict[str, Any] = {
        "id": "0198c2f0a5b7d1e2f3a4",
        "name": f"{first} and {second}",
        "description": f"first line\nsecond line of {second}",
        "labels": {},
        "state": ExperimentState.SUCCEEDED,
        "reason": "",
        "generation": 1,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "started_at": datetime(2026, 1, 1, 1, tzinfo=UTC),
        "finished_at": datetime(2026, 1, 1, 2, tzinfo=UTC),
        "preset": "fig3-switch-mini",
        "reproduces": "Figure 3",
        "links": Links(),
        "question": f"Does {second} differ from {first}?",
        "verdicts": [verdict],
        "arms": [ReportedArmView(name=name, stages=["train with SDT at T=4, 2 epochs"]) for name in (first, second)],
        "comparison": comparison,
        "further": further,
        "flatness": [
            FlatnessView(arm=first, loss="loss_sdt", mean_rise=0.125, n=3),
            FlatnessView(arm=second, loss="loss_sdt", mean_rise=None, n=0),
        ],
        "deviations": [DeviationView(arm=second, place="batch_size", value="32", of_preset="64")],
        "failures": [failure],
        "environments": [FactsView(facts={"torch": "2.13", "deterministic": True}, num_stages=6)],
        "datasets": [FactsView(facts={"name": "digits", "digest": "ab" * 32}, num_stages=6)],
        "chains": [
            ReportedChainView(id="c0", arm=first, seed=0, initial_sha256="12" * 32, weights_sha256="34" * 32),
            ReportedChainView(id="c1", arm=second, seed=0, initial_sha256=None, weights_sha256=None),
        ],
        "num_chains": 6,
        "version": "0.1.0",
        "spec": spec,
        "spec_sha256": sha256_of(spec),
        "command": "tet submit experiment.json --follow",
        "figures": [],
    }
    return ReportView(**values | changes)

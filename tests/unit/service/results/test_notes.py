"""Tests of the notes to a comparison."""

from typing import Any

from service.answers.comparisons import ComparisonView
from service.answers.units import Unit
from service.presets.catalogue import Published
from service.presets.recipe import Difference
from service.results.comparison import ComparedArm, Result, compare_arms
from service.results.notes import note_of_unpublished, notes_of, notes_of_verdicts
from service.results.seeds import SeedState
from service.states import WorkState


def arm(name: str, values: dict[int, float], n_wanted: int, **more: Any) -> dict[str, Any]:
    accuracies = list(values.values())
    return {
        "name": name,
        "n": len(values),
        "n_wanted": n_wanted,
        "num_failed": 0,
        "num_cancelled": 0,
        "num_stopped": 0,
        "values": [{"seed": seed, "value": value} for seed, value in values.items()],
        "mean": sum(accuracies) / len(accuracies) if accuracies else None,
        "std": None,
        "low": None,
        "high": None,
        "train_time_s": 1.0,
        "versus_baseline": None,
    } | more


def versus(differences: dict[int, float], missing: list[dict[str, Any]], reason: str | None = None) -> dict[str, Any]:
    return {
        "to": "SDT",
        "difference": None if reason else sum(differences.values()) / len(differences),
        "low": None,
        "high": None,
        "n": len(differences),
        "differences": [{"seed": seed, "value": value} for seed, value in differences.items()],
        "missing": missing,
        "reason": reason,
    }


def notes(*arms: dict[str, Any]) -> list[str]:
    return notes_of(ComparisonView.model_validate({"quantity": "test/accuracy", "baseline": "SDT", "arms": list(arms)}))


def failed(arm: str, *seeds: int) -> dict[str, Any]:
    return {"arm": arm, "state": "failed", "failure": "not_finite", "seeds": list(seeds)}


def test_a_complete_comparison_needs_no_note() -> None:
    tet = arm("TET", {0: 0.6, 1: 0.7}, 2, versus_baseline=versus({0: 0.1, 1: 0.1}, []))
    assert notes(arm("SDT", {0: 0.5, 1: 0.6}, 2), tet) == []


def test_means_over_survivors_and_the_seeds_of_a_difference_are_named() -> None:
    """Two arms have six seeds each, and seven of their chains failed, so the means are over different seeds."""
    sdt = arm("SDT", {3: 0.1920, 5: 0.1930}, 6, num_failed=4)
    missing = [failed("TET", 0, 1, 5), failed("SDT", 0, 1, 2, 4)]
    tet = arm("TET", {2: 0.1930, 3: 0.1920, 4: 0.1940}, 6, num_failed=3, versus_baseline=versus({3: 0.0}, missing))
    assert notes(sdt, tet) == [
        "SDT: of 6 seeds, 4 failed; its numbers are over the survivors, seeds 3 and 5",
        "TET: of 6 seeds, 3 failed; its numbers are over the survivors, seeds 2, 3 and 4",
        "TET minus SDT: over seed 3 only, where the means are 19.20 and 19.20 %; TET failed at seeds 0, 1 and 5 "
        "(not_finite); SDT failed at seeds 0, 1, 2 and 4 (not_finite)",
    ]


def test_an_arm_without_a_result_and_without_a_pair_says_why() -> None:
    reason = "no seed has a result in both arms: SDT was stopped at seed 0; SDT was cancelled at seed 1"
    tet = arm("TET", {0: 0.5, 1: 0.5}, 2, versus_baseline=versus({}, [], reason))
    assert notes(arm("SDT", {}, 2, num_stopped=1, num_cancelled=1), tet) == [
        "SDT: of 2 seeds, 1 cancelled, 1 stopped; it has no result",
        f"TET is not paired with SDT: {reason}",
    ]


def test_an_accuracy_that_cannot_be_told_from_chance_has_a_note() -> None:
    chance = {"verdict": "alike", "level": 0.1042, "low": 0.0673, "high": 0.1313, "num_samples": 355}
    (note,) = notes(arm("SDT", {0: 0.0958}, 1, chance=chance))
    assert note == (
        "SDT: 9.58 % cannot be distinguished from chance, 10.42 % "
        "(95 % interval over 355 test samples: 6.73 to 13.13 %)"
    )
    assert notes(arm("SDT", {0: 0.9}, 1, chance=chance | {"verdict": "above"})) == []


def test_a_published_number_that_is_not_shown_names_the_differences_up_to_a_limit() -> None:
    published, one = Published.model_validate({"mean": 0.6941}), Difference("dataset.name", "digits", "cifar100")
    assert note_of_unpublished("SDT T=2", published, [one]) == (
        "SDT T=2: published 69.41 not shown: dataset.name is digits, the preset has cifar100"
    )
    many = [Difference(f"p{number}", "1", "2") for number in range(10)]
    assert note_of_unpublished("A", published, many).endswith("p7 is 1, the preset has 2; and 2 more")


def test_each_arm_that_is_paired_has_its_verdict_in_a_sentence() -> None:
    def compared(name: str, *accuracies: float) -> ComparedArm:
        results = {seed: Result(each, 1.0) for seed, each in enumerate(accuracies)}
        return ComparedArm(name, dict.fromkeys(results, SeedState(WorkState.SUCCEEDED)), results)

    sdt, tet = compared("SDT", 0.90, 0.91, 0.92, 0.90), compared("TET", 0.93, 0.945, 0.952, 0.928)
    tit = compared("TIT")
    assert notes_of_verdicts(compare_arms([sdt, tet, tit], "SDT"), Unit.ACCURACY, 1, None) == [
        "TET is better than SDT by 3.1 points [2.6, 3.6], n=4, p=0.001 or less."
    ]

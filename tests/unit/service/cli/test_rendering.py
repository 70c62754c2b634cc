import io
from statistics import fmean
from typing import Any

from rich.console import Console, RenderableType

from service.answers.chains import ChainView
from service.answers.comparisons import ComparisonView
from service.cli import rendering
from service.cli.progress import StoppedConfigurations, at_chance
from service.cli.watch import picture, plain_lines
from service.pace import Pace
from tests.unit.service.cli.examples import chain, counting, experiment, stage


def shown(renderable: RenderableType, width: int = 160) -> list[str]:
    """Return the printed lines, with single spaces and without empty lines."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]


def arm(name: str, *accuracies: float, **values: Any) -> dict[str, Any]:
    """Return an arm with an accuracy at each seed, from seed 0 on."""
    empty: dict[str, Any] = {
        "n": len(accuracies),
        "n_wanted": len(accuracies),
        "num_failed": 0,
        "num_cancelled": 0,
        "num_stopped": 0,
        "values": [{"seed": seed, "value": value} for seed, value in enumerate(accuracies)],
        "mean": fmean(accuracies) if accuracies else None,
        **dict.fromkeys(("std", "low", "high", "train_time_s", "versus_baseline")),
    }
    return {"name": name} | empty | values


def minus(of_arm: dict[str, Any], baseline: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return the difference of two arms over the seeds that both have."""
    of_baseline = {each["seed"]: each["value"] for each in baseline["values"]}
    differences = [
        {"seed": each["seed"], "value": each["value"] - of_baseline[each["seed"]]}
        for each in of_arm["values"]
        if each["seed"] in of_baseline
    ]
    empty: dict[str, Any] = {
        "to": baseline["name"],
        "difference": fmean(each["value"] for each in differences) if differences else None,
        "n": len(differences),
        "differences": differences,
        "missing": [],
        **dict.fromkeys(("low", "high", "reason")),
    }
    return of_arm | {"versus_baseline": empty | values}


def compared(*arms: dict[str, Any], source: str | None = None) -> ComparisonView:
    return ComparisonView.model_validate(
        {"quantity": "test/accuracy", "baseline": "SDT", "arms": list(arms), "source": source}
    )


def table(*arms: dict[str, Any]) -> list[str]:
    return shown(rendering.comparison_tables(compared(*arms))[0])


def test_a_comparison_is_in_percent_and_percentage_points() -> None:
    sdt = arm("SDT", 0.91, 0.92, std=0.0123, train_time_s=12.34)
    tet = minus(arm("TET [fast]", 0.92, 0.93, std=0.001, train_time_s=123.4), sdt, low=-0.00111, high=0.02579)
    lines = table(sdt, tet)
    assert "SDT (baseline) 2 91.50 ± 1.23 12.3 s - - -" in lines
    assert "TET [fast] 2 92.50 ± 0.10 2:03 +1.00 [-0.11, +2.58] 2" in lines


def test_each_interval_over_test_samples_is_written_below_the_table_with_its_question() -> None:
    sdt = arm("SDT", 0.91, 0.92)
    tet = minus(arm("TET", 0.92, 0.93), sdt, low=-0.00111, high=0.02579)
    tet["versus_baseline"] |= {
        "resampled": {
            "num_samples": 10_000,
            "other_samples": {"low": 0.008, "high": 0.012},
            "other_seeds_and_samples": {"low": None, "high": None},
            "std_of_test_set": 0.005,
            "share_of_test_set": 0.25,
        }
    }
    answer = compared(sdt, tet).model_copy(update={"verdicts": ["TET is better"], "notes": ["TET is better", "a note"]})
    assert rendering.comparison_lines(answer) == [
        "TET is better",
        "On other test samples of the same kind, these networks would differ (TET minus SDT) by [0.80, 1.20] points. "
        "25% of the variance between seeds is that of a test set of 10,000 samples: a larger test set would remove it.",
        "a note",
    ]


def test_unknown_values_are_shown_as_dashes() -> None:
    sdt = arm("SDT")
    lines = table(sdt, minus(arm("TET", 0.5), sdt))
    assert "SDT (baseline) 0 - ± - - - - -" in lines
    assert "TET 1 50.00 ± - - - - 0 of 1" in lines


def test_lost_seeds_are_shown_beside_those_with_a_result() -> None:
    sdt = arm("SDT", 0.9, 0.92, n_wanted=6, num_failed=4)
    lines = table(sdt, minus(arm("TET", 0.93, n_wanted=6, num_failed=5), sdt))
    assert "SDT (baseline) 2 of 6 91.00 ± - - - - -" in lines
    assert "TET 1 of 6 93.00 ± - - +3.00 - 1 of 6" in lines


def test_a_difference_that_is_not_zero_is_not_shown_as_zero() -> None:
    sdt = arm("SDT", 0.19296)
    lines = table(sdt, minus(arm("TET", 0.19304), sdt), minus(arm("TIT", 0.19296), sdt))
    assert "SDT (baseline) 1 19.296 ± - - - - -" in lines
    assert "TET 1 19.304 ± - - +0.008 - 1" in lines
    assert "TIT 1 19.296 ± - - 0.000 - 1" in lines


def test_an_accuracy_like_chance_is_shown_with_chance() -> None:
    chance = {"verdict": "alike", "level": 0.1042, "low": 0.0673, "high": 0.1313, "num_samples": 355}
    assert "SDT (baseline) 1 9.58 ± - (chance 10.42) - - - -" in table(arm("SDT", 0.0958, chance=chance))
    guesses = stage(state="succeeded", epoch=20, metrics={"test/accuracy": 0.0958}, chance=chance)
    both = experiment(chain(guesses, arm="SDT", seed=2, state="succeeded"))
    assert "SDT-2 SDT 2 succeeded 1/1 (T=4) 20/20 9.58 (chance 10.42) -" in shown(rendering.chain_table(both))
    assert "9.58 (chance 10.42)" in shown(picture(both, Pace(), StoppedConfigurations(), 5))[2]
    assert at_chance(both) == [
        "SDT: 1 chain(s) with a test accuracy that is not above chance, 10.42 % of 355 test samples, "
        "by its 95 % interval"
    ]
    above = stage(state="succeeded", metrics={"test/accuracy": 0.9}, chance=chance | {"verdict": "above"})
    assert at_chance(experiment(chain(above), chain(stage()))) == []


def test_names_are_printed_without_markup() -> None:
    lines = shown(rendering.experiment_table([experiment(name="[bold]SDT → TET[/]")]))
    assert "0198c2f0a5b7d1e2f3a4 [bold]SDT → TET[/] running 0/0 2026-01-02 03:04:05 UTC" in lines


def test_chains_name_the_weights_they_reached() -> None:
    done = stage(state="succeeded", epoch=20, metrics={"test/accuracy": 0.98765}, weights_sha256="0123456789abcdef")
    lines = shown(rendering.chain_table(experiment(chain(done, arm="SDT", seed=2, state="succeeded"))))
    assert "SDT-2 SDT 2 succeeded 1/1 (T=4) 20/20 98.77 0123456789ab" in lines


def test_the_picture_has_a_line_for_each_chain_and_one_for_all() -> None:
    running = chain(stage(state="running", epoch=5, metrics={"test/accuracy": 0.5}), arm="SDT")
    both = experiment(running, chain(stage(), arm="TET", state="waiting"))
    lines = shown(picture(both, Pace(), StoppedConfigurations(), max_rows=10))
    assert lines[0] == "digits running"
    assert lines[2].startswith("SDT 0 running 1/1 (T=4) 5/20 50.00")
    assert lines[3].startswith("TET 0 waiting 1/1 (T=4) 0/20 -")
    assert lines[-1] == "0/2 stages, 5/40 epochs"


def test_a_picture_that_is_too_small_shows_the_running_chains_first() -> None:
    waiting = [chain(stage(), arm="TET", seed=seed, state="waiting") for seed in range(5)]
    running = chain(stage(state="running", epoch=1), arm="SDT", seed=9)
    lines = shown(picture(experiment(*waiting, running), Pace(), StoppedConfigurations(), max_rows=2))
    assert lines[2].startswith("SDT 9 running")
    assert "… and 4 more chains" in lines


def test_totals_cover_all_chains_even_if_not_all_are_read() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    some = experiment(chain(stage(T=2), arm="SDT", state="waiting"))
    some = counting(some, chains_total=30_000, epochs_total=600_000, work_total=1_200_000)
    picture(some, pace, StoppedConfigurations(), max_rows=5)
    now[0] = 100.0
    some = counting(some, epochs_done=60_000, work_done=120_000)
    lines = shown(picture(some, pace, StoppedConfigurations(), max_rows=5))
    assert lines[-2:] == ["… and 29999 more chains", "0/1 stages, 60000/600000 epochs, 15:00 left"]


def stopped(arm: str, seed: int, reason: str) -> ChainView:
    return chain(stage(state="stopped", epoch=2), arm=arm, seed=seed, state="stopped", reason=reason)


def test_the_row_of_a_stopped_chain_shows_the_reason_truncated_to_the_width() -> None:
    reason = "epoch 2 of stage 1: 20.00% on validation is number 3 of 3 that got here; the best goes on"
    both = experiment(stopped("TET [fast]", 0, reason), chain(stage(epoch=5), arm="SDT"))
    full_row = f"TET [fast] 0 stopped 1/1 (T=4) 2/20 - {reason}"
    assert shown(picture(both, Pace(), StoppedConfigurations(), max_rows=5))[2] == full_row
    row, other = shown(picture(both, Pace(), StoppedConfigurations(), max_rows=5), width=100)[2:4]
    assert row.endswith("…")
    assert full_row.startswith(row.removesuffix("…"))
    assert other.startswith("SDT 0 running")


def test_the_newest_stops_are_shown_even_if_their_rows_are_hidden() -> None:
    running = [chain(stage(epoch=1), arm="SDT", seed=seed) for seed in range(38)]
    stops, early = StoppedConfigurations(), stopped("TIT", 9, "the first")
    picture(experiment(early, *running), Pace(), stops, max_rows=10)
    later = [stopped("TET", 0, "the third"), stopped("TET", 1, "the third"), stopped("SDT", 0, "the second")]
    picture(experiment(later[2], early, *running), Pace(), stops, max_rows=10)
    lines = shown(picture(experiment(*later, early, *running), Pace(), stops, max_rows=10))
    assert lines[12:15] == [
        "… and 32 more chains",
        "stopped: TET, seeds 0, 1: the third",
        "stopped: SDT, seed 0: the second",
    ]
    assert len(lines) == 16


def test_without_a_terminal_chains_that_were_stopped_alike_share_a_line() -> None:
    ended = chain(stage(epoch=20, state="succeeded", metrics={"test/accuracy": 0.75}), arm="TET", state="succeeded")
    early = [stopped("TET", seed, "not needed") for seed in (4, 3)]
    many = [stopped("TIT", seed, "not needed") for seed in range(5, 20)]
    lines = [line for _, line in plain_lines(experiment(ended, *early, *many, stopped("SDT", 7, "another reason")))]
    assert lines[1:] == [
        "TET · seed 0 · stage 1 of 1 · T=4 succeeded: test accuracy 75.00 %",
        "TET, seeds 3, 4 stopped: not needed",
        "TIT, 15 seeds from 5 to 19 stopped: not needed",
        "SDT, seed 7 stopped: another reason",
    ]


def test_the_picture_shows_the_reason_of_the_state() -> None:
    waits = experiment(chain(stage()), reason="3 points wait for MLflow")
    assert shown(picture(waits, Pace(), StoppedConfigurations(), 5))[0] == "digits running 3 points wait for MLflow"


def test_published_numbers_are_shown_with_the_measured_ones() -> None:
    arms = [
        arm("SDT", 0.74, published={"mean": 0.7086, "std": 0.0022, "n": 3}),
        arm("TET", 0.74, published={"mean": 0.7411, "std": None, "n": None}),
        arm("mine", 0.74, published=None),
    ]
    text = "\n".join(shown(rendering.comparison_tables(compared(*arms, source="the paper, Table 1"))[0]))
    assert "70.86 ± 0.22" in text
    assert "74.11" in text
    assert "published: the paper, Table 1, at the best test epoch; ours: at the last one" in text

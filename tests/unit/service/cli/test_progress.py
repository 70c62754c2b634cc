from service.answers.chains import ArmSearchView
from service.answers.experiments import ExperimentView
from service.cli.progress import ChainProgress, counted, ends_at, searches
from tests.unit.service.cli.examples import chain, counting, experiment, search, stage


def test_a_chain_is_shown_at_its_first_stage_that_has_not_ended() -> None:
    first = stage(0, T=2, state="succeeded", epoch=20, metrics={"test/accuracy": 0.9})
    at = ChainProgress.of(chain(first, stage(1, T=4, state="running", epoch=3, epochs=5)))
    assert (at.stage, at.epoch, at.accuracy) == ("2/2 (T=4)", "3/5", 0.9)


def test_an_ended_chain_is_shown_at_its_last_stage() -> None:
    at = ChainProgress.of(chain(stage(0, state="succeeded"), stage(1, state="succeeded"), state="succeeded"))
    assert at.stage == "2/2 (T=4)"
    assert at.ended


def test_work_is_counted_in_epochs_times_time_steps() -> None:
    at = ChainProgress.of(chain(stage(0, T=2, epoch=20, epochs=20), stage(1, T=4, epoch=3, epochs=5)))
    assert (at.work_done, at.work_total) == (52, 60)


def test_a_stage_without_time_steps_is_named_by_its_kind() -> None:
    assert ChainProgress.of(chain(stage(kind="time_sweep", T=None, epochs=1))).stage == "1/1 (time_sweep)"


def test_an_analysis_has_a_name_and_no_accuracy_of_its_own() -> None:
    trained = stage(0, T=4, state="succeeded", epoch=20, metrics={"test/accuracy": 0.9})
    landscape = stage(1, T=4, kind="landscape", state="running", epoch=3, epochs=21, metrics={"test/accuracy": 0.1})
    at = ChainProgress.of(chain(trained, landscape))
    assert (at.stage, at.epoch, at.accuracy) == ("2/2 (landscape)", "3/21", 0.9)
    assert counted(experiment(chain(trained, landscape))) == "20/20 epochs, 3/21 rows"
    assert counted(experiment(chain(trained))) == "20/20 epochs"


def test_epochs_are_counted_over_all_chains() -> None:
    shown = experiment(chain(stage(epoch=3)), chain(stage(epoch=5), stage(1, epochs=5)))
    assert counted(shown) == "8/45 epochs"
    assert counted(counting(shown, epochs_done=80, epochs_total=4500)) == "80/4500 epochs"


def searched(expected_end: str | None = None, **best: object) -> ExperimentView:
    states = {"succeeded": 2, "stopped": 5, "running": 1, "waiting": 4}
    found = {
        "configuration": {"optimizer.lr": 0.0123456},
        "val_accuracy": 0.875,
        "chains": ["a"],
        "complete": True,
    } | best
    values = {"name": "TET", "num_configurations": 12, "states": states, "train_time_s": 75.0, "best": found}
    arm = ArmSearchView.model_validate(values)
    alone = ArmSearchView.model_validate(values | {"name": "SDT", "num_configurations": 1})
    return experiment(chain(stage()), search=search(arm, alone, expected_end=expected_end))


def test_each_searched_arm_has_a_line() -> None:
    assert searches(searched()) == [
        "TET: 7/12 configurations ended (2 succeeded, 5 stopped, 1 running), 1:15 of training; best so far: 87.50% on "
        "validation, optimizer.lr=0.01235"
    ]
    assert "; ahead so far: " in searches(searched(complete=False))[0]
    assert searches(experiment(chain(stage()))) == []


def test_the_expected_end_of_a_search_is_shown_once_it_is_known() -> None:
    assert ends_at(searched()) is None
    expected = "expected to end at 2026-01-02 03:04:05 UTC"
    assert ends_at(searched(expected_end="2026-01-02T03:04:05Z")) == expected
    assert ends_at(searched(expected_end="2026-01-02T05:04:05+02:00")) == expected

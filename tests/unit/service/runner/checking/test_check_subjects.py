"""Tests of the keys of configurations: stages with equal keys fail alike."""

from typing import Any

import pytest

from service.plan import plan
from service.runner.checking.check_subjects import MAX_SUBJECTS, data_key, subject_key, subjects_of, trained
from service.spec import parse
from tests.unit.service.runner.checking.test_examination import config
from tests.unit.service.spec.test_spec import spec, tet, train

EVENTS = {"name": "event_folder", "folder": "e", "num_classes": 2, "input_size": 8}


@pytest.mark.parametrize(
    "changes",
    [{"seed": 7}, {"epochs": 9}, {"batch_size": 2}, {"optimizer": {"name": "adam", "lr": 0.5}}, {"num_threads": 2}],
)
def test_seed_epochs_batch_size_optimizer_and_threads_do_not_change_the_key(changes: dict[str, Any]) -> None:
    assert subject_key(config()) == subject_key(config(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"T": 5},
        {"model": {"name": "vgg_small", "width": 3}},
        {"neuron": {"name": "if"}},
        {"dataset": {"name": "digits", "input_size": 16}},
        {"loss": {"name": "tet"}},
        {"validation": 0.1},
    ],
)
def test_T_model_neuron_data_loss_and_validation_change_the_key(changes: dict[str, Any]) -> None:
    assert subject_key(config()) != subject_key(config(**changes))


def test_the_data_key_of_recordings_depends_on_T_and_that_of_still_images_does_not() -> None:
    assert data_key(config(T=1)) == data_key(config(T=2))
    assert data_key(config(dataset=EVENTS, T=1)) != data_key(config(dataset=EVENTS, T=2))


def test_each_key_is_checked_once_whatever_the_number_of_seeds() -> None:
    arms = [
        {"name": "SDT", "stages": [train(), {"kind": "energy"}]},
        {"name": "TIT", "stages": [train(T=2, loss=tet()), train(loss=tet())]},
    ]
    chains = plan(parse(spec(arms=arms, baseline="SDT", seeds=[*range(20)])))
    analysis = trained(chains[0].stages[1].config)
    assert subjects_of(analysis, chains) == [
        chains[0].stages[0].config,
        chains[1].stages[0].config,
        chains[1].stages[1].config,
    ]


def test_the_number_of_subjects_is_limited() -> None:
    search = {"method": "grid", "space": {"model.width": {"choice": [*range(1, 101)]}}}
    arms = [{"name": "SDT", "stages": [train()]}]
    chains = plan(parse(spec(arms=arms, baseline="SDT", seeds=[0], validation=0.1, search=search)))
    assert len(subjects_of(trained(chains[0].stages[0].config), chains)) == MAX_SUBJECTS

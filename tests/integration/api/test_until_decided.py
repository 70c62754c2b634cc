"""Tests of the API with experiments that add seeds until their arms are decided."""

from typing import Any

import pytest

from service.states import ExperimentState
from tests.integration.api.conftest import Api
from tests.integration.api.test_reading import bring, finish, post

Spec = dict[str, Any]
E = ExperimentState
UNTIL = {"first": 0, "at_most": 8, "until": "decided"}
GAINS = [0.020, 0.022, 0.019, 0.021, 0.020, -0.3]


@pytest.fixture
def decided(api: Api, spec: Spec) -> str:
    """Return an experiment of two arms that was decided after five seeds, when a sixth one had also ended."""
    made = post(api, spec, arms=spec["arms"][:2], seeds=UNTIL)
    tet = {("TET", seed): 0.9 + gain for seed, gain in enumerate(GAINS)}
    with api.changing() as repository:
        finish(repository, made, tet | {("SDT", seed): 0.9 for seed in range(6)})
        for chain in repository.work.chains(made):
            if chain.state != "succeeded":
                chain.state, chain.reason = "stopped", f"not needed: the pairs of {chain.arm!r} were decided by seed 4"
            for each in chain.stages:
                stage = repository.work.stage(made, chain.id, each.index)
                assert stage is not None
                stage.state = chain.state
        bring(repository, made, E.STARTING, E.RUNNING, E.SUCCEEDED)
    return made


def test_the_comparison_ends_at_the_seed_that_decided(api: Api, decided: str) -> None:
    body = api.client.get(f"/experiments/{decided}/comparison").json()
    sdt, tet = body["arms"]
    versus = tet["versus_baseline"]
    assert (versus["verdict"], versus["decided_at"], versus["n"], versus["missing"]) == ("better", 4, 5, [])
    assert versus["difference"] == pytest.approx(sum(GAINS[:5]) / 5)
    assert 0 < versus["low"] < versus["difference"] < versus["high"]
    assert versus["p"] == versus["p_holm"] < 0.05
    assert (tet["n"], tet["n_wanted"], tet["num_stopped"]) == (5, 5, 0)
    assert tet["beyond"] == [{"seed": 5, "value": pytest.approx(0.6)}]
    assert sdt["beyond"] == [{"seed": 5, "value": 0.9}]
    assert body["notes"][0].startswith(
        "TET is better than SDT by 2.04 points, decided after 5 seeds: the difference is"
    )


def test_all_chains_are_planned_and_shown(api: Api, decided: str) -> None:
    view = api.client.get(f"/experiments/{decided}").json()
    states = [(chain["seed"], chain["state"]) for chain in view["chains"] if chain["arm"] == "SDT"]
    assert states == [(seed, "succeeded" if seed < 6 else "stopped") for seed in range(8)]
    assert view["progress"]["stages_total"] == 16


def test_a_fork_decides_again_over_the_seeds_that_its_parent_has(api: Api, decided: str) -> None:
    fork = f"/experiments/{decided}/fork"
    refused = api.client.post(fork, json={})
    assert refused.status_code == 422
    (first, _) = refused.json()["errors"]
    assert (first["field"], first["value"]) == ("seeds", "6, 7")
    shorter = api.client.post(fork, json={"seeds": {"at_most": 6}})
    assert shorter.status_code == 202
    assert len(api.client.get(f"/experiments/{shorter.json()['id']}").json()["chains"]) == 12
    assert api.client.post(fork, json={"seeds": [0, 3]}).status_code == 202


def test_too_small_a_range_is_refused_with_the_smallest_one(api: Api, spec: Spec) -> None:
    answer = api.post(spec | {"seeds": UNTIL | {"at_most": 5}})
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["field"] == "seeds.at_most"
    assert fault["detail"] == "must be at least 6: with 2 pairs of arms, fewer seeds cannot decide anything"


def test_rerun_best_of_an_experiment_without_a_search_is_refused(api: Api, decided: str) -> None:
    answer = api.client.post(f"/experiments/{decided}/rerun-best", json={"seeds": [20]})
    assert answer.status_code == 409

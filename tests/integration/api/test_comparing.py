"""Tests of the comparison's contract: every field against numbers that are computed by hand."""

from math import sqrt
from typing import Any

import pytest
from scipy import stats

from service.curves import as_text, from_text
from service.store.repository import Repository
from tests.integration.api.conftest import Api
from tests.unit.service.test_curves import Point

SEEDS = [0, 1, 2, 3]
# Test accuracies of each arm by seed. The chain of TET at seed 3 has failed.
ACCURACIES = {
    "SDT": {0: 0.90, 1: 0.91, 2: 0.89, 3: 0.92},
    "TET": {0: 0.93, 1: 0.93, 2: 0.93},
    "TIT": {0: 0.90, 1: 0.92, 2: 0.88, 3: 0.92},
}
# What a time sweep adds to these at each T.
AT_T = {2: -0.1, 4: 0.0}


def sweep_spec(spec: dict[str, Any], **changes: Any) -> dict[str, Any]:
    stages = [{"kind": "train", "T": 4, "epochs": 2, "loss": {"name": "sdt"}}, {"kind": "time_sweep", "T": [2, 4]}]
    arms = [{"name": name, "stages": stages} for name in ACCURACIES]
    return {**spec, "arms": arms, "seeds": SEEDS, **changes}


def play(repository: Repository, experiment_id: str) -> None:
    """Store what the driver states about each chain."""
    for chain in repository.work.chains(experiment_id):
        accuracy = ACCURACIES[chain.arm].get(chain.seed)
        chain.state = "failed" if accuracy is None else "succeeded"
        for stage in chain.stages:
            stage.state = chain.state
        if accuracy is None:
            chain.stages[0].failure = {"type": "not_finite", "class": "user", "kind": None, "message": "NaN"}
            continue
        train = repository.work.stage(experiment_id, chain.id, 0)
        assert train is not None
        train.metrics, train.train_time_s, train.epoch = {"test/accuracy": accuracy, "test/loss": 0.5}, 8.0, 2
        epochs = [Point(1, {"test/accuracy": accuracy + 0.01}, firing_rates=[0.5]), Point(2, dict(train.metrics))]
        epochs[1].firing_rates = [0.1, 0.2]
        rows = [
            Point(n, {"time_sweep/accuracy": accuracy + more}, step=T) for n, (T, more) in enumerate(AT_T.items(), 1)
        ]
        for index, (kind, points) in enumerate((("train", epochs), ("time_sweep", rows))):
            repository.curves.put(experiment_id, chain.id, index, from_text(as_text(kind, points)), "")


def played(api: Api, spec: dict[str, Any]) -> str:
    experiment_id: str = api.post(spec).json()["id"]
    with api.changing() as repository:
        play(repository, experiment_id)
    return experiment_id


def asked(api: Api, experiment_id: str, **params: str) -> dict[str, Any]:
    answer = api.client.get(f"/experiments/{experiment_id}/comparison", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def check_arm(arm: dict[str, Any], name: str, shift: float = 0.0) -> None:
    """Check an arm against its accuracies, which are higher by `shift`."""
    values = {seed: each + shift for seed, each in ACCURACIES[name].items()}
    n, mean = len(values), sum(values.values()) / len(values)
    std = sqrt(sum((each - mean) ** 2 for each in values.values()) / (n - 1))
    half = stats.t.ppf(0.975, n - 1) * std / sqrt(n)
    assert (arm["name"], arm["n"], arm["n_wanted"]) == (name, n, 4)
    assert (arm["num_failed"], arm["num_cancelled"], arm["num_stopped"]) == (4 - n, 0, 0)
    assert arm["values"] == [{"seed": seed, "value": close(each)} for seed, each in values.items()]
    assert [arm[key] for key in ("mean", "std", "low", "high")] == [
        close(each) for each in (mean, std, mean - half, mean + half)
    ]
    assert (arm["train_time_s"], arm["published"]) == (8.0, None)


# p of each pair, by hand: TET against SDT has the differences 0.03, 0.02, 0.04, TIT against SDT 0, 0.01, -0.01, 0.
P = {"TET": 2 * stats.t.sf(0.03 / (0.01 / sqrt(3)), 2), "TIT": 1.0}
DIFFERENCES = {"TET": {0: 0.03, 1: 0.02, 2: 0.04}, "TIT": {0: 0.0, 1: 0.01, 2: -0.01, 3: 0.0}}


def check_versus(versus: dict[str, Any], name: str, p_holm: float, verdict: str) -> None:
    values = [*DIFFERENCES[name].values()]
    n, mean = len(values), sum(values) / len(values)
    std = sqrt(sum((each - mean) ** 2 for each in values) / (n - 1))
    half = stats.t.ppf(0.975, n - 1) * std / sqrt(n)
    assert (versus["to"], versus["n"], versus["reason"], versus["verdict"]) == ("SDT", n, None, verdict)
    assert versus["differences"] == [
        {"seed": seed, "value": pytest.approx(each, abs=1e-12)} for seed, each in DIFFERENCES[name].items()
    ]
    expected = {"difference": mean, "low": mean - half, "high": mean + half, "d_z": mean / std, "p": P[name]}
    assert {key: versus[key] for key in expected} == {
        key: pytest.approx(each, rel=1e-6, abs=1e-9) for key, each in expected.items()
    }
    assert versus["p_holm"] == pytest.approx(p_holm, rel=1e-6)


def test_every_field_of_a_comparison_follows_from_the_accuracies(api: Api, spec: dict[str, Any]) -> None:
    body = asked(api, played(api, sweep_spec(spec)))
    assert (body["quantity"], body["unit"], body["higher_is_better"]) == ("test/accuracy", "accuracy", True)
    assert (body["baseline"], body["by_T"], body["further_pairs"]) == ("SDT", [], [])
    sdt, tet, tit = body["arms"]
    for arm in body["arms"]:
        check_arm(arm, arm["name"])
    assert sdt["versus_baseline"] is None
    check_versus(
        tet["versus_baseline"], "TET", min(1.0, 2 * P["TET"]), "undecided" if 2 * P["TET"] > 0.05 else "better"
    )
    check_versus(tit["versus_baseline"], "TIT", 1.0, "undecided")
    # All 3 signs alike: 2 / 2^3. Of 0, 0.01, -0.01, 0, every pattern has a sum at least as far from 0.
    assert (tet["versus_baseline"]["p_sign_flip"], tit["versus_baseline"]["p_sign_flip"]) == (0.25, 1.0)
    assert tet["versus_baseline"]["missing"] == [
        {"arm": "TET", "state": "failed", "failure": "not_finite", "seeds": [3]}
    ]
    # The true difference d at which P(t' > t(0.975 + ...)) is 80 %: at the level 0.05 / 2 pairs.
    detectable, n, std = tet["versus_baseline"]["detectable"], 3, 0.01
    critical = stats.t.ppf(1 - 0.05 / 2 / 2, n - 1)
    assert stats.nct.sf(critical, n - 1, detectable * sqrt(n) / std) == pytest.approx(0.8, abs=1e-3)
    assert any(note.startswith("TET") and "1 failed" in note for note in body["notes"])


def test_a_time_sweep_has_the_arms_at_each_T_and_all_pairs_are_judged_together(api: Api, spec: dict[str, Any]) -> None:
    body = asked(api, played(api, sweep_spec(spec)), quantity="time_sweep/accuracy")
    assert (body["arms"], [at["T"] for at in body["by_T"]]) == ([], [2, 4])
    for at in body["by_T"]:
        for arm in at["arms"]:
            check_arm(arm, arm["name"], AT_T[at["T"]])
        _, tet, tit = at["arms"]
        p_holm = min(1.0, 4 * P["TET"])  # four pairs: two arms at two T
        check_versus(tet["versus_baseline"], "TET", p_holm, "undecided" if p_holm > 0.05 else "better")
        check_versus(tit["versus_baseline"], "TIT", 1.0, "undecided")
    assert [note.split(": ")[0] for note in body["notes"][:4]] == ["T=2", "T=2", "T=4", "T=4"]


@pytest.mark.parametrize(
    ("quantity", "values", "unit", "higher"),
    [
        ("test/accuracy_best_test_epoch", [0.91, 0.92, 0.90, 0.93], "accuracy", True),
        ("test/loss", [0.5] * 4, "loss", False),
        ("train_time_s", [8.0] * 4, "s", False),
        ("firing_rate", [0.15] * 4, "share", False),
    ],
)
def test_other_quantities_have_their_own_values(
    api: Api, spec: dict[str, Any], quantity: str, values: list[float], unit: str, higher: bool
) -> None:
    body = asked(api, played(api, sweep_spec(spec)), quantity=quantity)
    assert (body["quantity"], body["unit"], body["higher_is_better"]) == (quantity, unit, higher)
    assert [each["value"] for each in body["arms"][0]["values"]] == [pytest.approx(each) for each in values]


def test_named_pairs_are_compared_and_a_margin_makes_arms_equivalent(api: Api, spec: dict[str, Any]) -> None:
    pairs = [{"arm": "TIT", "to": "SDT"}, {"arm": "TIT", "to": "TET"}]
    body = asked(api, played(api, sweep_spec(spec, compare=pairs, margin=0.02)))
    sdt, tet, tit = body["arms"]
    assert (sdt["versus_baseline"], tet["versus_baseline"]) == (None, None)
    assert (tit["versus_baseline"]["to"], tit["versus_baseline"]["verdict"]) == ("SDT", "equivalent")
    ((further),) = body["further_pairs"]
    assert (further["arm"], further["versus"]["to"], further["versus"]["n"]) == ("TIT", "TET", 3)
    assert any("are equivalent within ±2" in note for note in body["notes"])
    other = asked(api, body_id(api), baseline="TET")
    assert (other["baseline"], other["further_pairs"]) == ("TET", [])
    assert [arm["versus_baseline"] and arm["versus_baseline"]["to"] for arm in other["arms"]] == ["TET", None, "TET"]


def body_id(api: Api) -> str:
    found: str = api.client.get("/experiments").json()["experiments"][0]["id"]
    return found


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"quantity": "accuracy"}, "no quantity 'accuracy'; it has: test/accuracy, "),
        ({"quantity": "val/accuracy"}, "time_sweep/accuracy"),
        ({"quantity": ""}, "no quantity ''; it has: "),
        ({"baseline": "tet"}, "no arm 'tet'; it has: 'SDT', 'TET', 'TIT'"),
    ],
)
def test_an_unknown_quantity_or_arm_is_refused_with_what_is_there(
    gate: Api, spec: dict[str, Any], params: dict[str, str], said: str
) -> None:
    experiment_id = gate.post(sweep_spec(spec)).json()["id"]
    answer = gate.client.get(f"/experiments/{experiment_id}/comparison", params=params)
    assert answer.status_code == 404
    assert said in answer.json()["detail"]


def test_curves_that_are_missing_are_told(api: Api, spec: dict[str, Any]) -> None:
    experiment_id = played(api, sweep_spec(spec))
    with api.changing() as repository:
        chain = repository.work.chains(experiment_id)[0]
        repository.curves.put(experiment_id, chain.id, 1, None, "OSError: gone")
    body = asked(api, experiment_id, quantity="time_sweep/accuracy")
    assert "1 stage(s) have no curves, and no value that follows from them: OSError: gone" in body["notes"]
    assert [arm["n"] for arm in body["by_T"][0]["arms"]] == [3, 3, 4]

from typing import Any

from tests.integration.api.conftest import Api

MINI = "fig3-switch-mini"


def test_the_list_has_the_spec_of_each_preset(gate: Api) -> None:
    found = {preset["name"]: preset for preset in gate.client.get("/presets").json()["presets"]}
    preset = found[MINI]
    assert preset == gate.client.get(f"/presets/{MINI}").json()
    assert (preset["mini"], preset["reproduces"], preset["num_trials"]) == (True, "Figure 3", 6)
    assert preset["arms"] == ["SDT", "SDT, then TET"]
    assert gate.client.post("/experiments/validate", json=preset["spec"]).json()["num_trials"] == 6


def test_a_preset_is_posted_without_changes(api: Api) -> None:
    answer = api.client.post("/experiments", params={"preset": MINI})
    assert answer.status_code == 202
    body = answer.json()
    assert (body["preset"], body["name"]) == (MINI, "Figure 3, small: SDT, then TET")
    assert body["progress"]["stages_total"] == 6
    compared = api.client.get(f"{answer.headers['Location']}/comparison").json()
    assert (compared["preset"], compared["arms"][0]["published"]) == (MINI, None)


def test_a_body_changes_a_part_of_a_preset(api: Api) -> None:
    made = api.client.post("/experiments", params={"preset": MINI}, json={"seeds": [7], "model": {"width": 4}}).json()
    assert [chain["seed"] for chain in made["chains"]] == [7, 7]
    faulty = api.client.post(
        "/experiments/validate", params={"preset": MINI}, json={"seeds": [], "model": {"depth": 4}}
    )
    assert faulty.status_code == 422
    assert [error["field"] for error in faulty.json()["errors"]] == ["model.depth", "seeds"]
    listed = api.client.post("/experiments", params={"preset": MINI}, json=[1])
    assert (listed.status_code, listed.json()["errors"][0]["field"]) == (422, "$")


def test_a_key_is_bound_to_the_preset(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = api.client.post("/experiments", params={"preset": MINI}, headers=headers)
    again = api.client.post("/experiments", params={"preset": MINI}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    other = api.client.post("/experiments", params={"preset": MINI}, json={"seeds": [7]}, headers=headers)
    assert other.status_code == 409


def test_an_unknown_preset_is_not_found(gate: Api) -> None:
    for answer in (
        gate.client.get("/presets/table9"),
        gate.client.post("/experiments", params={"preset": "table9"}),
        gate.client.post("/experiments/validate", params={"preset": "table9"}),
    ):
        assert answer.status_code == 404
        assert "there is no preset 'table9'; there are: " in answer.json()["detail"]


def test_without_a_preset_an_empty_body_is_refused(gate: Api) -> None:
    assert gate.client.post("/experiments").status_code == 415


def compared(api: Api, changes: Any) -> Any:
    posted = api.client.post("/experiments", params={"preset": "table1-cifar100"}, json=changes)
    return api.client.get(f"{posted.headers['Location']}/comparison").json()


def test_published_numbers_are_shown_if_the_recipe_is_the_presets(api: Api) -> None:
    body = compared(api, {"seeds": [7], "resources": {"gpus_per_trial": 0}})
    assert body["arms"][0]["published"] == {"mean": 0.6941, "std": 0.0008, "n": 3}
    assert body["source"].startswith("Deng et al.")


def test_published_numbers_of_another_recipe_are_not_shown_and_a_note_says_why(api: Api) -> None:
    stage = {"kind": "train", "T": 2, "epochs": 1, "loss": {"name": "sdt"}}
    changes = {
        "dataset": {"name": "digits"},
        "model": {"name": "vgg_small"},
        "arms": [{"name": "SDT T=2", "stages": [stage]}],
        "baseline": "SDT T=2",
    }
    body = compared(api, changes)
    assert (body["arms"][0]["published"], body["source"], body["preset"]) == (None, None, "table1-cifar100")
    (note,) = (note for note in body["notes"] if "published" in note)
    assert note.startswith("SDT T=2: published 69.41 not shown: ")
    for part in (
        "dataset.name is digits, the preset has cifar100",
        "model.name is vgg_small, the preset has resnet19",
        "epochs is 1, the preset has 300",
    ):
        assert part in note

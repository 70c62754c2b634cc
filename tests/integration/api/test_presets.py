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

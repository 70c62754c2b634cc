import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.integration.api.conftest import Api, serving_api

Spec = dict[str, Any]


def stored(api: Api) -> int:
    return len(api.client.get("/experiments").json()["experiments"])


def test_a_posted_experiment_is_queued_and_found_at_its_location(api: Api, spec: Spec) -> None:
    answer = api.post(spec)
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["Location"] == f"/experiments/{body['id']}"
    assert api.client.get(answer.headers["Location"]).json() == body
    assert (body["name"], body["state"]) == ("digits: SDT, TET, TIT", "queued")
    assert (body["reason"], body["reason_kind"]) == ("", "none")
    assert body["links"] == {"mlflow": None, "ray": None, "is_ray_job_gone": False}
    assert body["progress"].items() >= {"stages_done": 0, "stages_total": 12}.items()
    assert [(chain["arm"], chain["seed"]) for chain in body["chains"]] == [
        (arm, seed) for seed in (0, 1, 2) for arm in ("SDT", "TET", "TIT")
    ]
    assert body["chains"][2]["stages"][1] == {
        "index": 1,
        "kind": "train",
        "T": 4,
        "state": "waiting",
        "epoch": 0,
        "epochs": 5,
        "metrics": {},
        "weights_sha256": None,
        "mlflow_run_id": None,
        "attempts": 0,
        "failure": None,
        "chance": None,
    }


def test_the_same_key_gives_the_same_experiment_and_another_body_a_conflict(api: Api, spec: Spec) -> None:
    first = api.post(spec, Idempotency_Key="k1")
    again = api.post(spec, Idempotency_Key="k1")
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    refused = api.post(spec | {"seeds": [0]}, Idempotency_Key="k1")
    assert refused.status_code == 409
    assert "used before with another body" in refused.json()["detail"]
    assert api.post(spec, Idempotency_Key="k2").json()["id"] != first.json()["id"]
    assert stored(api) == 2


def test_a_key_with_the_same_spec_in_another_format_gives_the_same_experiment(api: Api, spec: Spec) -> None:
    text = StringIO()
    YAML(typ="safe", pure=True).dump(dict(reversed(spec.items())), text)
    first = api.post(spec, Idempotency_Key="k").json()
    headers = {"Content-Type": "application/yaml", "Idempotency-Key": "k"}
    again = api.client.post("/experiments", content=text.getvalue(), headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first["id"])


def test_simultaneous_requests_with_one_key_create_one_experiment(api: Api, spec: Spec) -> None:
    together = threading.Barrier(8)

    def post(_: int) -> tuple[int, str]:
        together.wait(10)
        answer = api.post(spec, Idempotency_Key="race")
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(post, range(8)))
    assert len(answers) == 1
    assert answers.pop()[0] == 202
    assert stored(api) == 1


@pytest.mark.parametrize("key", ["", "with space", "x" * 256])
def test_an_invalid_key_is_refused(gate: Api, spec: Spec, key: str) -> None:
    answer = gate.post(spec, Idempotency_Key=key)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == 'header["Idempotency-Key"]'


@pytest.mark.parametrize("path", ["/experiments", "/experiments/validate"])
def test_every_fault_of_a_spec_is_listed_and_nothing_is_stored(api: Api, spec: Spec, path: str) -> None:
    bad = copy.deepcopy(spec) | {"epoch": 3, "dataset": {"name": "cifar"}, "seeds": []}
    bad["arms"][0]["stages"][0]["T"] = 0
    bad["arms"][1]["stages"][0]["loss"]["lamb"] = -1
    bad["arms"][1]["name"] = "SDT"
    bad["arms"][2]["stages"][0]["epochs"] = 10**9
    bad["arms"].append({"name": "empty", "stages": []})
    answer = api.client.post(path, json=bad)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["type"] == "urn:tet:problem:spec-invalid"
    found = {error["field"]: error for error in problem["errors"]}
    assert set(found) == {
        "epoch",
        "dataset.name",
        "seeds",
        "arms[0].stages[0].T",
        "arms[1].stages[0].loss.lamb",
        "arms[1].name",
        "arms[2].stages[0].epochs",
        "arms[3].stages",
    }
    assert found["arms[0].stages[0].T"] == {
        "field": "arms[0].stages[0].T",
        "pointer": "/arms/0/stages/0/T",
        "value": 0,
        "detail": "must be an integer at least 1 and at most 1,000",
    }
    assert stored(api) == 0


def test_yaml_is_accepted_in_place_of_json(gate: Api) -> None:
    text = """
    name: no
    dataset: {name: digits}
    model: {name: vgg_small}
    optimizer: {name: adam, lr: 1e-3}
    arms:
      - name: SDT
        stages: &stages
          - {kind: train, T: 4, epochs: 2, loss: {name: sdt}}
      - {name: again, stages: *stages}
    seeds: [0]
    """
    for media_type in ("application/yaml", "application/x-yaml; charset=UTF-8", "text/yaml"):
        answer = gate.client.post("/experiments/validate", content=text, headers={"Content-Type": media_type})
        assert answer.status_code == 200, answer.text
        assert answer.json()["resolved"]["arms"][1]["stages"][0]["optimizer"]["lr"] == 0.001


def test_a_valid_spec_is_answered_with_its_size_and_placement(gate: Api, spec: Spec) -> None:
    body = gate.client.post("/experiments/validate", json=spec).json()
    assert body["valid"] is True
    assert (body["num_chains"], body["num_stages"], body["num_trials"]) == (9, 12, 12)
    assert body["placement"]["possible"] == "unknown"
    assert body["placement"]["detail"].startswith("Ray does not answer")
    resolved = body["resolved"]
    assert (resolved["baseline"], resolved["seeds"]) == ("SDT", [0, 1, 2])
    second = resolved["arms"][2]["stages"][1]
    assert (second["kind"], second["T"], second["epoch_offset"], second["batch_size"]) == ("train", 4, 20, 128)
    assert body["notes"] == []
    assert gate.client.get("/experiments").json()["experiments"] == []


def test_an_entry_point_that_the_api_does_not_have_is_noted_and_no_fault(gate: Api, spec: Spec) -> None:
    spec |= {"model": {"name": "entry_point", "entry_point": "my_net"}}
    (note,) = gate.client.post("/experiments/validate", json=spec).json()["notes"]
    assert note["field"] == "model.entry_point"
    assert note["detail"] == (
        "'my_net' is not in the API's own environment; the nodes may have it. Installed with the API under "
        "'tet.models': none"
    )


def test_a_data_set_that_is_not_there_is_a_fault_before_anything_runs(tmp_path: Path, spec: Spec) -> None:
    (tmp_path / "data" / "pets" / "cat").mkdir(parents=True)
    database_url = f"sqlite:///{tmp_path / 'tet.db'}"
    missing = spec | {"dataset": {"name": "image_folder", "folder": "birds", "num_classes": 2, "input_size": 32}}
    with serving_api(tmp_path, database_url, data=tmp_path / "data") as api:
        for path in ("/experiments", "/experiments/validate"):
            answer = api.client.post(path, json=missing)
            assert answer.status_code == 422
            (error,) = answer.json()["errors"]
            assert (error["field"], error["value"]) == ("dataset.folder", "birds")
            assert "image_folder is not here: looked for" in error["detail"]
    with serving_api(tmp_path, database_url, data=tmp_path / "elsewhere") as api:
        noted = api.client.post("/experiments/validate", json=missing).json()["notes"]
        assert [note["field"] for note in noted] == ["dataset"]
        assert "the API does not see the data root" in noted[0]["detail"]

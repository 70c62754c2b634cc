"""A test of `precision: auto` on a real stack: a node decides it once for the whole experiment."""

import json

import pytest
import torch

from service.storage import ExperimentFolder
from tests.integration.experiment.conftest import SPEC, TET, ask, run_to_end, until
from tests.local_stack import END_S, LocalStack
from tet_core.environment import fastest_precision

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(4 * END_S)]

STAGES = [{"kind": "train", "T": T, "epochs": 1, "loss": TET, "precision": "auto"} for T in (1, 2)]
ARMS = [{"name": "auto", "stages": STAGES}, {"name": "plain", "stages": [STAGES[0] | {"precision": "fp32"}]}]


def test_auto_is_decided_once_and_recorded(stack: LocalStack) -> None:
    body = SPEC | {"name": "precision", "arms": ARMS, "baseline": "plain", "seeds": [0]}
    answer = stack.post(body)
    assert answer.status_code == 202, answer.text
    finished = run_to_end(stack, answer.json()["id"])
    decided = fastest_precision(torch.device("cpu"))
    folder = ExperimentFolder(stack.settings.storage, finished.id)
    assert json.loads(folder.precision(on_gpu=False).read_bytes()) == {"precision": decided}
    params = {
        (run.data.tags["tet.arm"], run.data.tags["tet.stage"]): run.data.params["precision"]
        for run in finished.runs()
        if "tet.stage" in run.data.tags
    }
    assert params == {("auto", "0"): decided, ("auto", "1"): decided, ("plain", "0"): "float32"}
    chain = next(chain["id"] for chain in finished.chains if chain["arm"] == "auto")
    verification = ask(stack, "POST", f"/experiments/{finished.id}/verify", body={"chain": chain, "stage": 1})
    path = f"/experiments/{finished.id}/verifications/{verification['number']}"
    assert until(stack, path, "state", {"equal", "different", "failed"})["state"] == "equal"

"""An experiment run by the service, and its stages in the order in which they started, for the bare pool."""

import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

from service.plan import Chain, plan
from service.runner.commits.reading import StageProgress, read_progress
from service.spec import parse
from service.storage import ExperimentFolder
from tests.local_stack import ENDED, LocalStack


@dataclass(frozen=True)
class Ours:
    """A run of an experiment by the service.

    Attributes:
        took_s: From the request to the event that says `succeeded`.
        first_start_s: From the request to the start of the first stage's training.
        stage_s: The mean time of a stage, from its start to its last commit.
        after_last_s: From the last stage's end to the state `succeeded`.
        stages: The stages in the order of their starts, as the bare pool takes them.
        hashes: The hash of each stage's weights, in the same order.
    """

    took_s: float
    first_start_s: float
    stage_s: float
    after_last_s: float
    stages: list[dict[str, Any]]
    hashes: list[str]


def run(stack: LocalStack, spec: dict[str, Any]) -> Ours:
    """Run an experiment to its end.

    Raises:
        RuntimeError: The experiment has not succeeded.
    """
    posted_at, start = time.time(), time.monotonic()
    with stack.http as http:
        answer = http.post("/experiments", json=spec)
        answer.raise_for_status()
        path = f"/experiments/{answer.json()['id']}"
        _await_end(http, f"{path}/events")
        took_s, ended_at = time.monotonic() - start, time.time()
        view = http.get(path).raise_for_status().json()
    if view["state"] != "succeeded":
        raise RuntimeError(f"the experiment has {view['state']}: {view['reason']}")
    folder = ExperimentFolder(stack.settings.storage, view["id"])
    chains = _as_run(spec, view)
    found = [
        (chain, stage.index, read_progress(folder.stage(chain.id, stage.index)))
        for chain in chains
        for stage in chain.stages
    ]
    found.sort(key=lambda each: each[2].started[0].at_ms)
    places = {(chain.id, index): place for place, (chain, index, _) in enumerate(found)}
    progresses = [progress for _, _, progress in found]
    return Ours(
        took_s,
        progresses[0].started[0].at_ms / 1_000 - posted_at,
        sum(map(_time_s, progresses)) / len(progresses),
        ended_at - max(_end_ms(progress) for progress in progresses) / 1_000,
        [_for_pool(chain, index, places) for chain, index, _ in found],
        [progress.commits[-1].weights_sha256 for progress in progresses],
    )


def _await_end(http: httpx.Client, path: str) -> None:
    """Wait in the stream of events, which costs the API less than looks at the experiment."""
    with http.stream("GET", path, timeout=None) as events:
        kind = ""
        for line in events.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            is_ours = line.startswith("data: ") and kind == "experiment"
            if is_ours and json.loads(line.removeprefix("data: "))["state"] in ENDED:
                return
    raise RuntimeError("the stream of events has ended before the experiment")


def _as_run(spec: dict[str, Any], view: dict[str, Any]) -> list[Chain]:
    """Return the experiment's chains; they must all have run."""
    chains = [*plan(parse(spec))]
    if {chain["id"] for chain in view["chains"]} != {chain.id for chain in chains}:
        raise RuntimeError("the chains of the experiment are not those of its plan")
    return chains


def _for_pool(chain: Chain, index: int, places: dict[tuple[str, int], int]) -> dict[str, Any]:
    before = chain.train_before(index)
    return {
        "config": chain.stages[index].config.model_dump(mode="json"),
        "initial": None if before is None else places[chain.id, before],
        "is_needed": index + 1 < len(chain.stages),
    }


def _time_s(progress: StageProgress) -> float:
    return (progress.commits[-1].at_ms - progress.started[0].at_ms) / 1_000


def _end_ms(progress: StageProgress) -> int:
    assert progress.done is not None, "a succeeded experiment has only ended stages"
    return progress.done.at_ms

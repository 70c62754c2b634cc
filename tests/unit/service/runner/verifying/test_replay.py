"""Tests of the replay of a stage that continued with another number of workers."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from torch.distributed import ProcessGroup

from service.plan import Chain, plan
from service.runner.commits.attempt import Attempt
from service.runner.commits.reading import read_progress
from service.runner.trial.common import load_last
from service.runner.trial.trainable import StageTrial
from service.runner.verifying.replay import Replay, segments_of
from service.spec import parse
from service.storage import ExperimentFolder
from tests.unit.service.runner.trial.test_trainable import config, run
from tests.unit.tet_core.workers import Pool, pool
from tet_core import checkpoint as checkpoints
from tet_core import train_epochs
from tet_core.config import TrainConfig
from tet_core.distributed import Workers

pytestmark = [pytest.mark.slow]  # several processes train

EPOCHS = 3
SPEC: dict[str, Any] = {
    "name": "x",
    "dataset": {"name": "digits"},
    "model": {"name": "vgg_small", "width": 2},
    "batch_size": 512,
    "arms": [{"name": "SDT", "stages": [{"kind": "train", "T": 1, "epochs": EPOCHS, "loss": {"name": "sdt"}}]}],
    "seeds": [3],
}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with pool(tmp_path_factory.mktemp("workers")) as processes:
        yield processes


def chain() -> Chain:
    (only,) = plan(parse(SPEC))
    return only


def settings() -> TrainConfig:
    stage_config = chain().stages[0].config
    assert isinstance(stage_config, TrainConfig)
    return stage_config


def attempt(group: ProcessGroup | None, root: str, epochs: int) -> None:
    """Train `epochs` further epochs, as one of a trial's workers."""
    folder = ExperimentFolder(Path(root), "e").stage(chain().id, 0)
    is_first = Workers.of(group).rank == 0
    resume = load_last(folder) if is_first else None
    trained = train_epochs(settings(), resume=resume, group=group)
    if not is_first:
        assert len(list(islice(trained, epochs))) == epochs
        return
    new_attempt = Attempt(folder)
    new_attempt.write_started(at_ms=0, resumed_epoch=resume["epoch"] if resume else 0, **asdict(trained.start))
    for epoch in islice(trained, epochs):
        checkpoints.save_checkpoint(epoch.checkpoint(), new_attempt.checkpoint_path(epoch.number))
        new_attempt.commit(
            epoch=epoch.number, epochs=EPOCHS, at_ms=0, metrics=epoch.metrics, weights_sha256=epoch.weights_sha256
        )


def replayed(group: ProcessGroup, root: str, epochs: int) -> dict[str, Any]:
    """Replay as the first of two workers; the second one trains only the `epochs` that two workers trained."""
    if Workers.of(group).rank == 0:
        folder = ExperimentFolder(Path(root), "e")
        return Replay(folder, chain(), 0, None, lambda num: nullcontext(group if num == 2 else None)).run()
    assert len(list(islice(train_epochs(settings(), group=group), epochs))) == epochs
    return {}


def stage(root: Path, workers: Pool, parts: list[tuple[int, int]]) -> ExperimentFolder:
    for num, epochs in parts:
        workers.run(num, attempt, str(root), epochs)
    return ExperimentFolder(root, "e")


AS_TRAINED = "replayed with as many workers as it was trained with: "


@pytest.mark.parametrize(
    ("parts", "by_two", "reason"),
    [
        ([(1, 1), (2, 2)], 2, AS_TRAINED + "from 1 on by 1 (attempt 1), from 2 on by 2 (attempt 2)"),
        ([(2, 2), (1, 1)], 2, AS_TRAINED + "from 1 on by 2 (attempt 1), from 3 on by 1 (attempt 2)"),
        ([(2, 1), (2, 2)], 3, ""),
    ],
)
def test_each_epoch_is_replayed_by_as_many_workers_as_trained_it(
    tmp_path: Path, workers: Pool, parts: list[tuple[int, int]], by_two: int, reason: str
) -> None:
    folder = stage(tmp_path, workers, parts)
    progress = read_progress(folder.stage(chain().id, 0))
    assert [each.environment["num_workers"] for each in progress.started] == [num for num, _ in parts]
    result = workers.run(2, replayed, str(tmp_path), by_two)[0]
    assert (result["state"], result["num_compared"], result["reason"]) == ("equal", EPOCHS, reason)
    assert (result["first_difference"], result["environment"]) == (None, [])


def test_a_trial_of_one_worker_continues_after_the_commits_of_two(tmp_path: Path, workers: Pool) -> None:
    folder = stage(tmp_path, workers, [(2, 2)])
    stage_folder = folder.stage(chain().id, 0)
    reports = run(StageTrial(config(stage_folder.path, config=settings().model_dump(mode="json"))))
    assert [(report["epoch"], report["end"]) for report in reports] == [(3, None), (3, "succeeded")]
    assert [(part.num_workers, len(part.commits)) for part in segments_of(read_progress(stage_folder))] == [
        (2, 2),
        (1, 1),
    ]


def test_the_first_difference_is_reported(tmp_path: Path, workers: Pool) -> None:
    folder = stage(tmp_path, workers, [(1, 1), (1, 2)])
    second = folder.stage(chain().id, 0).commits / "000002.json"
    text = second.read_text()
    sha = read_progress(folder.stage(chain().id, 0)).commits[1].weights_sha256
    second.write_text(text.replace(sha, "0" * 64))
    result = Replay(folder, chain(), 0, None).run()
    assert (result["state"], result["num_compared"]) == ("different", 2)
    assert result["reason"] == "weights_sha256 of 2 differs"
    assert result["first_difference"]["published"] == "0" * 64

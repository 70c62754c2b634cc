"""The files of trials in a stage folder, written without training."""

from collections.abc import Mapping

import numpy as np

from service.runner.commits.attempt import Attempt
from service.states import WorkState
from service.storage import StageFolder
from tet_core.measure.metric_names import OF_AN_EPOCH

METRICS = dict.fromkeys(OF_AN_EPOCH, 1.0) | {"test/accuracy": 0.5, "epoch_time_s": 2.0}


def begin(
    folder: StageFolder, initial_sha256: str = "aa", counts: Mapping[str, int | str] | None = None, generation: int = 1
) -> Attempt:
    """Start an attempt, write its start record, and return it. Without `counts`, the record is like an older one."""
    attempt = Attempt(folder, generation)
    attempt.write_started(
        at_ms=1_000,
        resumed_epoch=0,
        initial_sha256=initial_sha256,
        environment={"torch": "2"},
        dataset={"name": "digits", "digest": "d", "source": "s", **(counts or {})},
        num_parameters=5,
    )
    return attempt


def write_tested(folder: StageFolder, *is_correct: int, digest: str = "d", epochs: int = 1) -> None:
    """Commit all epochs of a training, the last one with one bit for each test sample."""
    attempt = begin(folder, counts={"digest": digest})
    accuracy = sum(is_correct) / len(is_correct)
    for epoch in range(1, epochs + 1):
        bits = attempt.write_sample_bits(epoch, np.array(is_correct, np.bool_)) if epoch == epochs else None
        metrics = METRICS | {"test/accuracy": accuracy}
        attempt.commit(epoch=epoch, epochs=epochs, at_ms=epoch, metrics=metrics, weights_sha256="01", sample_bits=bits)
    attempt.finish(state=WorkState.SUCCEEDED, at_ms=9_000)


def write(folder: StageFolder, epochs: int, of: int, **metrics: float) -> Attempt:
    """Start an attempt and commit `epochs` epochs; if these are all, also link the marker. Return the attempt."""
    attempt = begin(folder)
    for epoch in range(1, epochs + 1):
        attempt.commit(epoch=epoch, epochs=of, at_ms=epoch, metrics=METRICS | metrics, weights_sha256=f"{epoch:02}")
    if epochs == of:
        attempt.finish(state=WorkState.SUCCEEDED, at_ms=9_000)
    return attempt

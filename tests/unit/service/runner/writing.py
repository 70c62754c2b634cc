"""The files of trials in a stage folder, written without training."""

from collections.abc import Mapping

from service.runner.commits.attempt import Attempt
from service.states import WorkState
from service.storage import StageFolder
from tet_core.measure.metric_names import OF_AN_EPOCH

METRICS = dict.fromkeys(OF_AN_EPOCH, 1.0) | {"test/accuracy": 0.5, "epoch_time_s": 2.0}


def begin(
    folder: StageFolder, initial_sha256: str = "aa", counts: Mapping[str, int] | None = None, generation: int = 1
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


def write(folder: StageFolder, epochs: int, of: int, **metrics: float) -> Attempt:
    """Start an attempt and commit `epochs` epochs; if these are all, also link the marker. Return the attempt."""
    attempt = begin(folder)
    for epoch in range(1, epochs + 1):
        attempt.commit(epoch=epoch, epochs=of, at_ms=epoch, metrics=METRICS | metrics, weights_sha256=f"{epoch:02}")
    if epochs == of:
        attempt.finish(state=WorkState.SUCCEEDED, at_ms=9_000)
    return attempt

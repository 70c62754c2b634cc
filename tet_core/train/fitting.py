"""Training one stage from its first epoch to its last, with its checkpoints in a folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import distributed as dist
from torch.distributed import ProcessGroup

from tet_core import checkpoint as checkpoints
from tet_core.config import TrainConfig
from tet_core.distributed import Workers
from tet_core.train.epochs import Epoch, train_epochs

LAST = "last.pt"
# Without a validation set the best epoch by test accuracy is kept, as in the paper's tables. The file's name says so,
# because nothing may be selected on the test set.
BEST = "best.pt"
BEST_TEST = "best_test.pt"


@dataclass(frozen=True)
class FitResult:
    """The outcome of a stage.

    Attributes:
        checkpoint: The checkpoint of the last epoch.
        best: The checkpoint of the best epoch: by `val/accuracy` if there is a validation set, else by `test/accuracy`
            (which may be reported, but nothing may be selected by it). Of equal epochs, the earliest.
        history: The metrics of every epoch that this call trained, by epoch.
    """

    checkpoint: dict[str, Any]
    best: dict[str, Any]
    history: dict[int, dict[str, float]]

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the last epoch."""
        metrics: dict[str, float] = self.checkpoint["metrics"]
        return metrics

    @property
    def weights_sha256(self) -> str:
        """Hash of the last epoch's weights and buffers."""
        return checkpoints.weights_sha256(self.checkpoint)


def fit(
    config: TrainConfig,
    *,
    initial: Mapping[str, Any] | None = None,
    folder: Path | str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    data_root: Path | None = None,
    group: ProcessGroup | None = None,
) -> FitResult:
    """Train a stage.

    Args:
        config: The stage.
        initial: Checkpoint of the stage before, as for `train_epochs`.
        folder: Folder for the checkpoints after every epoch: `last.pt`, and `best.pt` (by validation accuracy) or,
            without a validation set, `best_test.pt`. Created if missing. If it holds a `last.pt` of this stage,
            training continues from there, to the same bits as if it had never stopped.
        on_epoch: Called after every epoch, once its checkpoint is on the disk. If it raises an error, training stops.
        data_root: As for `load_dataset`.
        group: Workers that share the stage, as for `train_epochs`; worker 0 keeps the checkpoints.

    Returns:
        The last and the best checkpoint, and the metrics of the epochs that this call trained.

    Raises:
        CheckpointError: As for `train_epochs`, and if a checkpoint in the folder is damaged.
        ConfigError, DataError, EntryPointError, FloatingPointError, WorkersDifferError, WorkersApartError: As for
            `train_epochs`.

    Example:
        >>> from tet_core import TrainConfig, fit
        >>> config = TrainConfig(dataset={"name": "digits"}, model={"name": "vgg_small", "width": 2}, T=1, epochs=1,
        ...                      loss={"name": "sdt"})
        >>> fit(config, on_epoch=lambda epoch: print(epoch.number, "of", epoch.epochs)).checkpoint["epoch"]
        1 of 1
        1
    """
    key, best_name = ("val/accuracy", BEST) if config.validation else ("test/accuracy", BEST_TEST)
    last = best = None
    if group is not None and dist.get_rank(group) > 0:
        folder = None
    if folder is not None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / LAST).exists():
            last, best = checkpoints.load_checkpoint(folder / LAST), checkpoints.load_checkpoint(folder / best_name)
    history: dict[int, dict[str, float]] = {}
    last, best = Workers.of(group).from_first((last, best))
    for epoch in train_epochs(config, initial=initial, resume=last, data_root=data_root, group=group):
        last = epoch.checkpoint()
        history[epoch.number] = epoch.metrics
        is_best = best is None or last["metrics"][key] > best["metrics"][key]
        if is_best:
            best = last
        if folder is not None:
            if is_best:  # before `last.pt`, so that a folder with `last.pt` always has its best checkpoint
                checkpoints.save_checkpoint(last, folder / best_name)
            checkpoints.save_checkpoint(last, folder / LAST)
        if on_epoch is not None:
            on_epoch(epoch)
    assert last is not None
    assert best is not None
    return FitResult(last, best, history)

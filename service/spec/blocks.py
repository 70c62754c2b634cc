"""The parts of a spec that say how an experiment is run and kept, rather than what is trained."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from tet_core.config import Config

# Ray's own names of accelerators ("A100", "H100", "TPU-V4"), and whatever a cluster calls its own.
AcceleratorType = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ExperimentId = Annotated[str, Field(pattern="^[0-9a-f]{20}$")]
ACCELERATOR_PREFIX = "accelerator_type:"
# Ray gives each node of an accelerator one unit of a resource of its name; a trial takes next to nothing of it.
ACCELERATOR_SHARE = 0.001


MAX_WORKERS = 64


def _gpus(value: float) -> float:
    if value > 1 and value != int(value):
        raise ValueError("must be a fraction below 1 (several trials share a GPU) or a whole number")
    return value


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("must be an address of the form https://host/path, without a user or a fragment")
    return url


class Resources(Config):
    """What one trial is given by Ray; `cpus_per_trial` is its number of threads too.

    Where it has several workers, each of them is given as much.
    """

    cpus_per_trial: int = Field(1, ge=1, le=1024)
    gpus_per_trial: Annotated[float, Field(ge=0, le=64), AfterValidator(_gpus)] = 0.0
    accelerator_type: AcceleratorType | None = Field(
        None, description="Only nodes with this accelerator, by Ray's name for it, such as 'A100'; None: any."
    )
    workers_per_trial: int = Field(
        1,
        ge=1,
        le=MAX_WORKERS,
        description="Workers that train a stage together, on one node or several: each is given cpus_per_trial and "
        "gpus_per_trial, and trains on its share of every batch, which stays batch_size in all. Analyses take one.",
    )
    reuse_actors: bool = Field(False, description="Start trials in used processes: faster for very short trials.")
    if_unplaceable: Literal["wait", "refuse"] = Field(
        "wait", description="Where no node is large enough for a trial: wait in the queue for one, or be refused."
    )

    def demand(self) -> dict[str, float]:
        """What a trial asks of a node for each of its workers, by the names of Ray's resources."""
        wanted: dict[str, float] = {"CPU": self.cpus_per_trial}
        if self.gpus_per_trial:
            wanted["GPU"] = self.gpus_per_trial
        if self.accelerator_type is not None:
            wanted[ACCELERATOR_PREFIX + self.accelerator_type] = ACCELERATOR_SHARE
        return wanted


class StartPoint(Config):
    """Where chains start instead of from fresh weights: at what another experiment's chains of the same seeds left."""

    experiment: ExperimentId
    arm: str | None = Field(None, max_length=80, description="Name of the other's arm; None: the one of the same name.")
    stage: int | None = Field(None, ge=0, le=99, description="Its train stage, from 0; None: the last one.")
    epochs: int | None = Field(
        None, ge=0, description="Epochs that lie before it, so that draws go on; the service fills it in."
    )


class Retention(Config):
    """What is kept, and for how long, once the experiment has ended."""

    checkpoints: Literal["best_and_last", "last", "none"] = Field(
        "best_and_last",
        description="Checkpoints of each stage that stay on the storage; without the last, there is no retry, fork or "
        "verification.",
    )
    delete_after_days: float | None = Field(
        None, gt=0, le=36_500, description="The experiment is deleted so long after its end; None: never by itself."
    )


class Webhook(Config):
    """Whom to tell of the experiment's end, by a signed POST; the operator says which hosts are allowed."""

    url: Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_web_address)]


class HealthLimits(Config):
    """When a network counts as dead, saturated or cut off, by how the neurons of each layer are.

    Measured on a few samples of the last whole batch of every epoch.
    """

    min_rate: float = Field(
        0.0, ge=0, le=1, description="A layer that fires no more often than this is silent; 0 is never."
    )
    max_rate: float = Field(
        1.0, ge=0, le=1, description="A layer that fires at least so often is saturated; 1 is at every step."
    )
    min_gradient: float = Field(
        1e-3,
        ge=0,
        le=1,
        description="A layer whose surrogate's derivative is on average no larger than this, as a share of its largest "
        "value, lets no gradient through.",
    )
    patience: int = Field(
        2,
        ge=1,
        le=10_000,
        description="Epochs in a row until the stage fails of it; five times as "
        "many of a silent layer that lets a gradient through, since it may wake up.",
    )


class Limits(Config):
    """When a stage is given up."""

    max_time_s: float | None = Field(
        None, gt=0, description="Seconds that one stage may be at work, over all its attempts; None: any."
    )
    stall_s: float | None = Field(
        1800,
        ge=1,
        description="Seconds without a step (a batch trained or measured, start-up included) after which a trial is "
        "ended and its stage tried again; None: never.",
    )
    max_losses: int = Field(
        5, ge=1, le=1_000, description="Trials of a stage lost in a row, with no epoch in between, until it fails."
    )
    health: HealthLimits | None = Field(
        None, description="When a network counts as dead, saturated or cut off; None: it is only logged."
    )

"""The parts of a spec that set resources, limits, start points, retention and webhooks, not the training itself."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tet_core.config import Config

# Ray's own names of accelerators ("A100", "H100", "TPU-V4"), and names that a cluster defines itself.
AcceleratorType = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ExperimentId = Annotated[str, Field(pattern="^[0-9a-f]{20}$")]
ACCELERATOR_PREFIX = "accelerator_type:"
# Ray gives each node with an accelerator one unit of a resource with the accelerator's name. A trial takes this share
# of it, so Ray places the trial on such a node. The share is too small to limit the number of trials there.
ACCELERATOR_SHARE = 0.001
MAX_WORKERS = 64


def _gpus(value: float) -> float:
    if value > 1 and value != int(value):
        raise ValueError("must be below 1 (several trials share a GPU) or a whole number")
    return value


class Resources(Config):
    """The resources that Ray gives to each worker of a trial; `cpus_per_trial` is also its number of threads."""

    cpus_per_trial: int = Field(1, ge=1, le=1024)
    gpus_per_trial: Annotated[float, Field(ge=0, le=64), AfterValidator(_gpus)] = 0.0
    accelerator_type: AcceleratorType | None = Field(
        None, description="Only nodes with this accelerator, by its name in Ray, such as 'A100'; null: any node."
    )
    workers_per_trial: int = Field(
        1,
        ge=1,
        le=MAX_WORKERS,
        description="Workers that train a stage together, on one node or several. Each has cpus_per_trial and "
        "gpus_per_trial, and trains on its share of every batch of batch_size samples. Analyses have one worker.",
    )
    reuse_actors: bool | Literal["auto"] = Field(
        "auto",
        description="Whether a trial starts in the process of an earlier one, which saves some seconds a trial and "
        "gives the same bits. 'auto': if stages take less than 5 minutes on average, there is one worker, and neither "
        "the model nor the data set is behind an entry point. A process whose trial failed is never used again.",
    )
    if_unplaceable: Literal["wait", "refuse"] = Field(
        "wait", description="If no node is large enough for a trial: wait in the queue for one, or refuse the spec."
    )

    def demand(self) -> dict[str, float]:
        """Return the amounts that each worker of a trial needs from a node, by the names of Ray's resources."""
        wanted: dict[str, float] = {"CPU": self.cpus_per_trial}
        if self.gpus_per_trial:
            wanted["GPU"] = self.gpus_per_trial
        if self.accelerator_type is not None:
            wanted[ACCELERATOR_PREFIX + self.accelerator_type] = ACCELERATOR_SHARE
        return wanted


class StartPoint(Config):
    """A start from the checkpoints of another experiment's chains of the same seeds, not from fresh weights."""

    experiment: ExperimentId
    arm: str | None = Field(None, max_length=80, description="Name of the arm of that experiment; null: the same name.")
    stage: int | None = Field(None, ge=0, le=99, description="Index of its train stage, from 0; null: the last one.")
    epochs: int | None = Field(
        None, ge=0, description="Epochs before the start, so that random draws continue; the service fills it in."
    )


class Retention(Config):
    """The checkpoints of an experiment that stay after it has ended, and the time until the experiment is deleted."""

    checkpoints: Literal["best_and_last", "last", "none"] = Field(
        "best_and_last",
        description="The checkpoints of each stage that stay on the storage; without the "
        "last one, there is no retry, fork "
        "or verification.",
    )
    delete_after_days: float | None = Field(
        None, gt=0, le=36_500, description="Days after the end until the experiment is deleted; null: never."
    )


class Webhook(Config):
    """The address that gets a signed POST when the experiment ends; the operator allows its host."""

    # `service.spec.posted` checks the form of a posted URL. Stored URLs are not checked: older versions accepted more.
    url: Annotated[str, Field(min_length=1, max_length=2_000)]


class HealthLimits(Config):
    """Limits beyond which a network counts as silent, saturated or without gradient, layer by layer.

    Measured on a few samples of the last full batch of every epoch.
    """

    min_rate: float = Field(
        0.0, ge=0, le=1, description="A layer whose rate is at most this is silent; 0: a layer that never fires."
    )
    max_rate: float = Field(
        1.0,
        ge=0,
        le=1,
        description="A layer whose rate is at least this is saturated; 1: a layer that fires at every step.",
    )
    min_gradient: float = Field(
        1e-3,
        ge=0,
        le=1,
        description="A layer lets no gradient through if the mean of its surrogate's "
        "derivative is at most this share of "
        "the largest value.",
    )
    patience: int = Field(
        2,
        ge=1,
        le=10_000,
        description="Epochs in a row beyond a limit after which the stage fails. A silent "
        "layer that lets a gradient through "
        "has five times as many, since it may recover.",
    )


class Limits(Config):
    """Limits after which a stage fails."""

    max_time_s: float | None = Field(
        None, gt=0, description="Seconds that one stage may run, over all of its attempts; null: no limit."
    )
    stall_s: float | None = Field(
        1800,
        ge=1,
        description="Seconds without a step (a batch trained or measured; start-up counts too) after which a trial is "
        "ended and its stage tried again; null: never.",
    )
    max_losses: int = Field(
        5,
        ge=1,
        le=1_000,
        description="Number of trials of a stage that are lost in a row, without an "
        "epoch in between, until the stage fails.",
    )
    health: HealthLimits | None = Field(
        None, description="Limits for the layers of neurons; null: their rates are only logged."
    )


class ArmPair(Config):
    """Two arms to compare: the difference is `arm` minus `to`."""

    arm: str = Field(description="Name of the arm that is judged.")
    to: str = Field(description="Name of the arm that it is compared with.")

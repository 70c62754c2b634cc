"""The parts of a spec that ask for a search, and for early stopping."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from tet_core.config import Config, Seed

MAX_CONFIGURATIONS = 5_000
# Maximum number of configurations of a search that learns. Each proposal reads all earlier ones, which takes about a
# second at this number.
MAX_LEARNT = 1_000
MAX_DIMENSIONS = 50
MAX_POINTS = 1_000
MAX_TEXT = 200
# Integers up to this one are exact as floats too.
LARGEST = 2**53
Goal = Literal["val/accuracy", "val/energy_j", "train_time_s"]
ACCURACY: Goal = "val/accuracy"
ENERGY: Goal = "val/energy_j"
TIME: Goal = "train_time_s"
KINDS = ("choice", "range", "log_range", "int_range")


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"must be text of at most {MAX_TEXT} characters")
    elif not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        raise ValueError("must be a number from -2^53 to 2^53, text, true or false")
    return value


Scalar = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"type": ["number", "string", "boolean"]})]
Integer = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]


class Dimension(Config):
    """The values that a search tries at one place of the spec. Exactly one of the first four keys is set."""

    choice: Annotated[tuple[Scalar, ...], Field(min_length=2, max_length=MAX_POINTS)] | None = Field(
        None, description="One of these values."
    )
    range: tuple[float, float] | None = Field(None, description="A number between these, evenly distributed.")
    log_range: tuple[float, float] | None = Field(
        None, description="A number between these, evenly distributed in its logarithm."
    )
    int_range: tuple[Integer, Integer] | None = Field(
        None, description="An integer from the first to the second, both included."
    )
    points: int | None = Field(
        None, ge=2, le=MAX_POINTS, description="Number of values that a grid takes from a range, both ends included."
    )

    @property
    def size(self) -> int | None:
        """The number of different values; None for a range of real numbers."""
        if self.choice is not None:
            return len(self.choice)
        return None if self.int_range is None else self.int_range[1] - self.int_range[0] + 1

    @property
    def grid_size(self) -> int:
        """The number of values that a grid takes."""
        return min(size for size in (self.points, self.size) if size is not None)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that are checked instead of all values: both ends of a range, or every choice."""
        given = (self.choice, self.range, self.log_range, self.int_range)
        return next(values for values in given if values is not None)


class Search(Config):
    """A search: every arm is tried at many settings, and the arms are compared, each at its best settings.

    The validation set alone decides which settings are the best.
    """

    method: Literal["grid", "random", "tpe"] = Field(
        description="'grid' and 'random' fix all configurations at the start; 'tpe' learns from the results so far."
    )
    num_configurations: int | None = Field(
        None,
        ge=1,
        le=MAX_CONFIGURATIONS,
        description="Number of configurations to draw; leave it out for a grid, whose points give the number.",
    )
    seed: Seed = 0
    goal: Annotated[tuple[Goal, ...], Field(min_length=1, max_length=2)] = Field(
        (ACCURACY,),
        description="'val/accuracy', which is to be high. A second goal is to be low: "
        "the energy of one image in J, estimated "
        "on the validation set, or the training time in s.",
    )
    max_concurrent: int | None = Field(
        None,
        ge=1,
        le=MAX_CONFIGURATIONS,
        description="Number of configurations that run at once; null: as many as the "
        "cluster has resources for. 'tpe' starts a "
        "new one only when resources are free, so that it can use all results until then.",
    )
    space: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=300)], Dimension],
        Field(min_length=1, max_length=MAX_DIMENSIONS),
    ] = Field(
        description="Values by place in the spec: `optimizer.lr`, `augmentation.0.padding`, `arms.TET.loss.lamb`."
    )

    @property
    def learns(self) -> bool:
        """Whether the next configuration depends on earlier results."""
        return self.method == "tpe"


class Asha(Config):
    """Asynchronous successive halving: at each rung the best part of the configurations continues.

    The first rung of a train stage is the epoch `grace_epochs`. Each further rung is the rung before it times
    `reduction_factor`.

    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020. The decision about a
    configuration is made when it reaches the rung, and is never changed.
    """

    name: Literal["asha"]
    grace_epochs: int = Field(1, ge=1, le=100_000, description="The first rung.")
    reduction_factor: int = Field(
        3,
        ge=2,
        le=100,
        description="One of this many configurations continues; the epoch of each rung is this many "
        "times the epoch of the rung before.",
    )

    def judges_at(self, epoch: int) -> bool:
        """Return whether configurations are judged at an epoch of a stage: at each rung."""
        rung = self.grace_epochs
        while rung < epoch:
            rung *= self.reduction_factor
        return rung == epoch


class MedianStopping(Config):
    """Median stopping: a configuration ends if its best value is below the median of the others' averages.

    Source: Golovin et al., Google Vizier, KDD 2017. Each average is over all values up to the same epoch.
    """

    name: Literal["median"]
    grace_epochs: int = Field(
        1, ge=1, le=100_000, description="The first epoch of a stage at which a configuration may end."
    )
    interval_epochs: int = Field(1, ge=1, le=100_000, description="Epochs from one judgement to the next.")
    min_others: int = Field(
        3,
        ge=1,
        le=1_000,
        description="Number of other configurations of the arm that must have reached the same epoch first.",
    )

    def judges_at(self, epoch: int) -> bool:
        """Return whether configurations are judged at an epoch of a stage."""
        return epoch >= self.grace_epochs and (epoch - self.grace_epochs) % self.interval_epochs == 0


EarlyStopping = Annotated[Asha | MedianStopping, Field(discriminator="name")]

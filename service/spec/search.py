"""The parts of a spec that ask for a search, and for an early end of what leads nowhere."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from tet_core.config import Config, Seed

MAX_CONFIGURATIONS = 5_000
# Each proposal looks at all that were tried before it: a second or so at this number.
MAX_LEARNT = 1_000
MAX_DIMENSIONS = 50
MAX_POINTS = 1_000
MAX_TEXT = 200
# Integers up to here are exact as floats too.
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
        raise ValueError("must be a number (of at most 2^53), text, true or false")
    return value


Scalar = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"type": ["number", "string", "boolean"]})]
Integer = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]


class Dimension(Config):
    """Where one number of a spec is looked for: exactly one of the first four."""

    choice: Annotated[tuple[Scalar, ...], Field(min_length=2, max_length=MAX_POINTS)] | None = Field(
        None, description="One of these."
    )
    range: tuple[float, float] | None = Field(None, description="Between these, evenly.")
    log_range: tuple[float, float] | None = Field(None, description="Between these, evenly in its logarithm.")
    int_range: tuple[Integer, Integer] | None = Field(None, description="An integer, from the first to the second.")
    points: int | None = Field(
        None, ge=2, le=MAX_POINTS, description="How many a grid takes of a range, its ends among them."
    )

    @property
    def size(self) -> int | None:
        """How many different values there are; None where they are numbers on a line."""
        if self.choice is not None:
            return len(self.choice)
        return None if self.int_range is None else self.int_range[1] - self.int_range[0] + 1

    @property
    def grid_size(self) -> int:
        """How many of them a grid takes."""
        return min(size for size in (self.points, self.size) if size is not None)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that bound all others: both ends, or every choice."""
        given = (self.choice, self.range, self.log_range, self.int_range)
        return next(values for values in given if values is not None)


class Search(Config):
    """Try every arm at many settings of the same numbers, and compare the arms at what each of them is best at.

    What is best is said by the validation set alone.
    """

    method: Literal["grid", "random", "tpe"] = Field(
        description="'grid' and 'random' know from the start what they try; 'tpe' learns from what has been tried."
    )
    num_configurations: int | None = Field(
        None, ge=1, le=MAX_CONFIGURATIONS, description="How many are drawn; a grid has as many as its points make."
    )
    seed: Seed = 0
    goal: Annotated[tuple[Goal, ...], Field(min_length=1, max_length=2)] = Field(
        (ACCURACY,),
        description="'val/accuracy', which is to be high; and where there are two goals, what is to be low beside it: "
        "the energy of one image, J, estimated on the validation set, or the training time, s.",
    )
    max_concurrent: int | None = Field(
        None,
        ge=1,
        le=MAX_CONFIGURATIONS,
        description="How many configurations are at work at once. None: as many as there is room for; 'tpe' begins a "
        "new one only when there is, since what it has seen by then is all that it learns from.",
    )
    space: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=300)], Dimension],
        Field(min_length=1, max_length=MAX_DIMENSIONS),
    ] = Field(
        description="By the number's place in the spec: `optimizer.lr`, `augmentation.0.padding`, `arms.TET.loss.lamb`."
    )

    @property
    def learns(self) -> bool:
        """Whether what it tries depends on how the earlier ones went."""
        return self.method == "tpe"


class Asha(Config):
    """Asynchronous successive halving: at each rung the better part goes on.

    The rungs of a train stage are its epochs `grace_epochs`, times `reduction_factor`, times its square, and so on.

    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020; what stops at a rung is
    decided when it gets there, and never taken back.
    """

    name: Literal["asha"]
    grace_epochs: int = Field(1, ge=1, le=100_000, description="The first rung.")
    reduction_factor: int = Field(
        3, ge=2, le=100, description="One of so many goes on; the rungs are so many times apart."
    )

    def judges_at(self, epoch: int) -> bool:
        """Whether an epoch of a stage is a rung."""
        rung = self.grace_epochs
        while rung < epoch:
            rung *= self.reduction_factor
        return rung == epoch


class MedianStopping(Config):
    """What has never been as good as the others were on average ends.

    Source: Golovin et al., Google Vizier, KDD 2017: its best value so far is below the median of the others' running
    averages up to the same epoch.
    """

    name: Literal["median"]
    grace_epochs: int = Field(1, ge=1, le=100_000, description="The first epoch of a stage at which it may end.")
    interval_epochs: int = Field(1, ge=1, le=100_000, description="From there on, how many epochs between two looks.")
    min_others: int = Field(
        3, ge=1, le=1_000, description="How many other configurations of the arm must have got so far."
    )

    def judges_at(self, epoch: int) -> bool:
        """Whether there is a look at an epoch of a stage."""
        return epoch >= self.grace_epochs and (epoch - self.grace_epochs) % self.interval_epochs == 0


EarlyStopping = Annotated[Asha | MedianStopping, Field(discriminator="name")]

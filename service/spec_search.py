"""The part of a spec that asks for a search."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from tet_core.config import Config, Seed

MAX_CONFIGURATIONS = 5_000
MAX_DIMENSIONS = 50
MAX_POINTS = 1_000
MAX_TEXT = 200
# Integers up to here are exact as floats too.
LARGEST = 2**53
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

    method: Literal["grid", "random"]
    num_configurations: int | None = Field(
        None, ge=1, le=MAX_CONFIGURATIONS, description="How many are drawn; a grid has as many as its points make."
    )
    seed: Seed = 0
    goal: tuple[Literal["val/accuracy"]] = Field(("val/accuracy",), description="What is to be high.")
    space: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=300)], Dimension],
        Field(min_length=1, max_length=MAX_DIMENSIONS),
    ] = Field(description="By the number's place in the spec: `optimizer.lr`, `loss.lamb`, `arms.TET.loss.lamb`.")

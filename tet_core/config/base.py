"""What every configuration shares: its base class, and numbers with their limits."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_T = 1_000
MAX_EPOCHS = 100_000
MAX_BATCH_SIZE = 65_536
MAX_SEED = 2**31 - 1

Memory = Annotated[
    Literal["fast", "balanced", "least"],
    Field(description="What is kept for the backward pass: the less, the slower; the bits are the same."),
]
Precision = Literal["float32", "float64", "bfloat16"]
NumSteps = Annotated[int, Field(ge=1, le=MAX_T, description="How many time steps the network is run for.")]
NumEpochs = Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
BatchSize = Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Validation = Annotated[float, Field(ge=0, lt=1, description="Share of the training set kept aside to choose by.")]
Inherit = Literal["weights", "all"]


class Config(BaseModel):
    """Base of every configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

"""The base class of every configuration, and the fields that several of them have, with their limits."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_T = 1_000
MAX_EPOCHS = 100_000
MAX_BATCH_SIZE = 65_536
MAX_SEED = 2**31 - 1

Memory = Annotated[
    Literal["fast", "balanced", "least"],
    Field(description="What is kept for the backward pass. Keeping less is slower; the results are the same."),
]
SyncNorm = Annotated[
    bool,
    Field(
        description="With several workers in a trial: if true, norms compute their statistics over the whole batch, as "
        "with one worker; if false, each worker computes them over its own share of the batch. With one worker it "
        "makes no difference."
    ),
]
# Short names, as in other libraries.
_SHORT_PRECISIONS = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "fp64": "float64"}


def _in_full(value: object) -> object:
    return _SHORT_PRECISIONS.get(value, value) if isinstance(value, str) else value


SettledPrecision = Literal["float32", "float64", "bfloat16", "float16"]
Precision = Annotated[
    Literal["auto", "float32", "float64", "bfloat16", "float16"],
    BeforeValidator(
        _in_full,
        json_schema_input_type=Literal[
            "auto", "float32", "float64", "bfloat16", "float16", "fp32", "fp64", "bf16", "fp16"
        ],
    ),
    Field(
        description="Precision of convolutions and linear layers. bf16 and fp16 use autocast, and weights stay "
        "float32; fp16 also scales the loss. 'auto' is bf16 if the device has instructions for it, else fp16 on GPUs "
        "with tensor cores, else fp32; it is resolved once for an experiment."
    ),
]
NumSteps = Annotated[int, Field(ge=1, le=MAX_T, description="Number of time steps that the network is run for.")]
NumEpochs = Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
BatchSize = Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Validation = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Share of the training set that is held out for validation: epochs and configurations are selected "
        "by it.",
    ),
]
TrainPart = Annotated[
    float,
    Field(
        gt=0,
        le=1,
        description="Share of each class of the training set that is used, for training and validation together; a "
        "small share makes trials quick, for instance in a search.",
    ),
]
Inherit = Literal["weights", "all"]


class Config(BaseModel):
    """Base of every configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

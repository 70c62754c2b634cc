"""The steps of an augmentation."""

from typing import Annotated, Literal

from pydantic import Field

from tet_core.config.base import Config


class Crop(Config):
    """Zero-pad every side by `padding` pixels, then crop back at a random place."""

    name: Literal["crop"] = "crop"
    padding: int = Field(4, ge=1, le=64)


class Flip(Config):
    """Mirror left and right with probability `p`."""

    name: Literal["flip"] = "flip"
    p: float = Field(0.5, ge=0, le=1)


AugmentationStep = Annotated[Crop | Flip, Field(discriminator="name")]
Augmentation = Annotated[tuple[AugmentationStep, ...], Field(max_length=16)]

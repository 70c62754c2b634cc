"""The steps of an augmentation."""

from typing import Annotated, Literal

from pydantic import Field

from tet_core.config.shared import Config


class Crop(Config):
    """Zero-pad every side by `padding` pixels, then crop back at a random place."""

    name: Literal["crop"] = "crop"
    padding: int = Field(4, ge=1, le=128)


class Flip(Config):
    """Mirror left and right with probability `p`."""

    name: Literal["flip"] = "flip"
    p: float = Field(0.5, ge=0, le=1)


class ResizedCrop(Config):
    """Cut a random rectangle out and stretch it to the model's input size, as is usual for ImageNet."""

    name: Literal["resized_crop"] = "resized_crop"
    min_area: float = Field(0.08, gt=0, le=1, description="Least share of the image; the largest is all of it.")
    max_aspect: float = Field(4 / 3, ge=1, le=10, description="Width to height lies between its inverse and it.")


class Cutout(Config):
    """Blacken a square at a random centre; where it reaches over the edge it is cut off (DeVries and Taylor 2017)."""

    name: Literal["cutout"] = "cutout"
    size: int = Field(16, ge=1, le=1024, description="Side of the square in pixels.")


class AutoAugment(Config):
    """The policy that was found for CIFAR-10, 25 pairs of operations (Cubuk et al. 2019); for still images alone."""

    name: Literal["autoaugment"] = "autoaugment"


class Roll(Config):
    """Shift by up to `pixels` in both axes; what leaves at one side comes back at the other."""

    name: Literal["roll"] = "roll"
    pixels: int = Field(5, ge=1, le=512)


class Nda(Config):
    """One of roll, rotation and shear for each sample, as in NDA (Li et al. 2022), the stronger one for events."""

    name: Literal["nda"] = "nda"
    pixels: int = Field(5, ge=1, le=512, description="Largest shift of a roll, in both axes.")
    degrees: float = Field(30, gt=0, le=80, description="Largest angle of a rotation and of a shear.")


AugmentationStep = Annotated[Crop | Flip | ResizedCrop | Cutout | AutoAugment | Roll | Nda, Field(discriminator="name")]
Augmentation = Annotated[tuple[AugmentationStep, ...], Field(max_length=16)]

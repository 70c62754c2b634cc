"""Settings of the steps of an augmentation."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from tet_core.config.shared import Config


class _Step(Config):
    """One step; `fits_events` says whether the step may change frames of events, whose values are counts."""

    fits_events: ClassVar[bool] = True


class Crop(_Step):
    """A crop at a random place, after zero-padding every side by `padding` pixels."""

    name: Literal["crop"] = "crop"
    padding: int = Field(4, ge=1, le=128)


class Flip(_Step):
    """A mirroring of left and right, with probability `p`."""

    name: Literal["flip"] = "flip"
    p: float = Field(0.5, ge=0, le=1)


class ResizedCrop(_Step):
    """A random rectangle, stretched to the model's input size, as is usual for ImageNet."""

    name: Literal["resized_crop"] = "resized_crop"
    min_area: float = Field(0.08, gt=0, le=1, description="Smallest share of the image's area; the largest is 1.")
    max_aspect: float = Field(
        4 / 3, ge=1, le=10, description="Largest ratio of width to height; the smallest is its inverse."
    )


class Cutout(_Step):
    """A black square at a random centre, cut off at the edges of the image (DeVries and Taylor 2017)."""

    name: Literal["cutout"] = "cutout"
    size: int = Field(16, ge=1, le=1024, description="Side of the square in pixels.")


class AutoAugment(_Step):
    """The policy found for CIFAR-10, 25 pairs of operations (Cubuk et al. 2019); only for still images.

    It changes brightness and contrast, which counts of events do not have.
    """

    fits_events: ClassVar[bool] = False

    name: Literal["autoaugment"] = "autoaugment"


class Roll(_Step):
    """A shift by up to `pixels` in both axes; pixels that leave at one side come back at the other."""

    name: Literal["roll"] = "roll"
    pixels: int = Field(5, ge=1, le=512)


class Nda(_Step):
    """One of roll, rotation and shear for each sample, as in NDA (Li et al. 2022); stronger than `roll` alone."""

    name: Literal["nda"] = "nda"
    pixels: int = Field(5, ge=1, le=512, description="Largest shift of a roll, in both axes.")
    degrees: float = Field(30, gt=0, le=80, description="Largest angle of a rotation and of a shear.")


AugmentationStep = Annotated[Crop | Flip | ResizedCrop | Cutout | AutoAugment | Roll | Nda, Field(discriminator="name")]
Augmentation = Annotated[tuple[AugmentationStep, ...], Field(max_length=16)]
# The names of the steps that do not fit events.
FOR_STILL_IMAGES: frozenset[str] = frozenset(
    step.model_fields["name"].default for step in get_args(get_args(AugmentationStep)[0]) if not step.fits_events
)

"""Data sets, and what is known of each without loading it."""

from typing import Literal

from tet_core.config.augmentation import AugmentationStep, Crop, Flip
from tet_core.config.base import Config


class DatasetCard(Config):
    """What is known of a data set without loading it."""

    num_classes: int
    in_channels: int
    input_size: int
    num_train: int
    num_test: int
    augmentation: tuple[AugmentationStep, ...] = ()


DATASETS: dict[str, DatasetCard] = {
    # 1,797 scans; the last fifth of each class is the test set (see tet_core.data.digits).
    "digits": DatasetCard(
        num_classes=10, in_channels=1, input_size=8, num_train=1442, num_test=355, augmentation=(Crop(padding=1),)
    ),
    "fashion_mnist": DatasetCard(
        num_classes=10,
        in_channels=1,
        input_size=28,
        num_train=60_000,
        num_test=10_000,
        augmentation=(Crop(padding=2), Flip()),
    ),
}


class DatasetConfig(Config):
    """A data set, by name."""

    name: Literal["digits", "fashion_mnist"]

"""Settings of the data sets, and the facts about each that are known without loading it."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from tet_core.config.augmentation import AugmentationStep, Crop, Flip, ResizedCrop, Roll
from tet_core.config.shared import Config, Seed

DATASET_ENTRY_POINTS = "tet.datasets"
DVS_SENSOR = 128  # width and height, in pixels, of the camera that recorded CIFAR10-DVS


class DatasetCard(Config):
    """The facts about a data set that are known without loading it.

    Attributes:
        num_classes: K.
        in_channels: C; for events 2, one for each polarity.
        input_size: H = W of the model's input, in pixels.
        num_train: Samples of the training set; None if only the nodes know it.
        num_test: Samples of the test set; None if only the nodes know it.
        is_events: Whether a sample is a recording of events, cut into T frames, and not one still image.
        white: The largest value that a pixel of a still image can have.
        augmentation: The default augmentation of a spec that sets none.
    """

    num_classes: int
    in_channels: int
    input_size: int
    num_train: int | None = None
    num_test: int | None = None
    is_events: bool = False
    white: int = 255
    augmentation: tuple[AugmentationStep, ...] = ()


def _inside(path: str) -> str:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path or not path.isprintable():
        raise ValueError("must be a folder under the data root: names joined by '/', none of them empty, '.' or '..'")
    return path


FolderPath = Annotated[
    str,
    Field(min_length=1, max_length=200, description="Folder under the data root, with one folder for each class."),
    AfterValidator(_inside),
]
NumClasses = Annotated[int, Field(ge=1, le=100_000, description="K: how many class folders there are.")]
InputSize = Annotated[int, Field(ge=1, le=1024, description="Side of the model's input, in pixels.")]
TestShare = Annotated[
    float, Field(gt=0, lt=1, description="Share of each class that is the test set, if the folders give no split.")
]
Slicing = Annotated[
    Literal["count", "time"],
    Field(description="'count': frames of equally many events; 'time': frames of equal duration."),
]


class _Folders(Config):
    """Fields of the data sets whose files a lab collects."""

    bad_files: Literal["refuse", "skip"] = Field(
        "refuse",
        description="What to do with files that cannot be read: 'refuse' is an error; 'skip' decodes every file before "
        "the training, and lists the files that it leaves out.",
    )
    max_bad_share: float = Field(
        0.01, gt=0, lt=1, description="Largest share of all files that `bad_files: skip` may leave out."
    )


class Digits(Config):
    """scikit-learn's 1,797 scans of handwritten digits; the last fifth of each class is the test set."""

    name: Literal["digits"] = "digits"
    input_size: Literal[8, 16, 32] = Field(8, description="Side in pixels; above 8 each pixel is repeated.")

    def card(self) -> DatasetCard:
        """Return the data set's card."""
        return DatasetCard(
            num_classes=10,
            in_channels=1,
            input_size=self.input_size,
            num_train=1442,
            num_test=355,
            white=16,
            augmentation=(Crop(padding=self.input_size // 8),),
        )


class FashionMnist(Config):
    """70,000 pictures of clothes, 28x28 grey pixels."""

    name: Literal["fashion_mnist"] = "fashion_mnist"

    def card(self) -> DatasetCard:
        """Return the data set's card."""
        return DatasetCard(
            num_classes=10,
            in_channels=1,
            input_size=28,
            num_train=60_000,
            num_test=10_000,
            augmentation=(Crop(padding=2), Flip()),
        )


class _Cifar(Config):
    def card(self) -> DatasetCard:
        """Return the data set's card."""
        return DatasetCard(
            num_classes=100 if isinstance(self, Cifar100) else 10,
            in_channels=3,
            input_size=32,
            num_train=50_000,
            num_test=10_000,
            augmentation=(Crop(padding=4), Flip()),
        )


class Cifar10(_Cifar):
    """60,000 photographs of 32x32 pixels in 10 classes."""

    name: Literal["cifar10"] = "cifar10"


class Cifar100(_Cifar):
    """60,000 photographs of 32x32 pixels in 100 classes."""

    name: Literal["cifar100"] = "cifar100"


class ImageNet(_Folders):
    """ImageNet's 2012 challenge: folders `train` and `val`, each with one folder for each class.

    The images are decoded during training.
    """

    name: Literal["imagenet"] = "imagenet"
    folder: FolderPath = "imagenet"
    input_size: InputSize = 224
    num_classes: NumClasses = 1000

    def card(self) -> DatasetCard:
        """Return the data set's card; the numbers of samples are only known for all 1,000 classes."""
        whole = self.num_classes == 1000
        return DatasetCard(
            num_classes=self.num_classes,
            in_channels=3,
            input_size=self.input_size,
            num_train=1_281_167 if whole else None,
            num_test=50_000 if whole else None,
            augmentation=(ResizedCrop(), Flip()),
        )


class ImageFolder(_Folders):
    """Still images from the user's folders: one folder for each class, or such folders in `train` and in `test`."""

    name: Literal["image_folder"] = "image_folder"
    folder: FolderPath
    num_classes: NumClasses
    input_size: InputSize
    in_channels: Literal[1, 3] = Field(3, description="3: colour, 1: grey.")
    depth: int = Field(
        16, ge=9, le=16, description="How many bits the pixels of a grey 16-bit file use: 12 for many cameras."
    )
    test: TestShare = 0.2
    split_seed: Seed = Field(0, description="Seed that draws the split, if the folders give no split.")

    def card(self) -> DatasetCard:
        """Return the data set's card."""
        return DatasetCard(
            num_classes=self.num_classes,
            in_channels=self.in_channels,
            input_size=self.input_size,
            augmentation=(Crop(padding=max(1, self.input_size // 8)), Flip()),
        )


class DvsCifar10(Config):
    """CIFAR10-DVS: 10,000 recordings of a 128x128 event camera; the last 100 of each class are the test set."""

    name: Literal["dvs_cifar10"] = "dvs_cifar10"
    input_size: Annotated[InputSize, Field(le=DVS_SENSOR)] = 48
    slicing: Slicing = "count"

    def card(self) -> DatasetCard:
        """Return the data set's card."""
        return DatasetCard(
            num_classes=10,
            in_channels=2,
            input_size=self.input_size,
            num_train=9_000,
            num_test=1_000,
            is_events=True,
            augmentation=(Flip(), Roll(pixels=5)),
        )


class EventFolder(_Folders):
    """Recordings of events (AEDAT 2.0) from the user's folders, laid out as for `image_folder`."""

    name: Literal["event_folder"] = "event_folder"
    folder: FolderPath
    num_classes: NumClasses
    input_size: InputSize
    sensor_size: Annotated[int, Field(ge=1, le=128, description="Side of the camera's array, in pixels.")] = DVS_SENSOR
    slicing: Slicing = "count"
    test: TestShare = 0.2
    split_seed: Seed = Field(0, description="Seed that draws the split, if the folders give no split.")

    def card(self) -> DatasetCard:
        """Return the data set's card."""
        return DatasetCard(
            num_classes=self.num_classes,
            in_channels=2,
            input_size=self.input_size,
            is_events=True,
            augmentation=(Flip(), Roll(pixels=max(1, self.input_size // 10))),
        )


StillConfig = Annotated[Digits | FashionMnist | Cifar10 | Cifar100 | ImageFolder, Field(discriminator="name")]


class Saccades(Config):
    """Simulated events: a model of an event camera records each still image while it moves, as for CIFAR10-DVS."""

    name: Literal["saccades"] = "saccades"
    base: StillConfig = Field(description="The still images.")
    input_size: Annotated[int, Field(ge=8, le=128, description="Side of the camera's array, in pixels.")] = 32
    threshold: float = Field(0.2, ge=0.01, le=2, description="Change of log intensity that fires one event.")
    slicing: Slicing = "count"

    def card(self) -> DatasetCard:
        """Return the data set's card; events are mirrored if the still images are."""
        still = self.base.card()
        flips = tuple(step for step in still.augmentation if isinstance(step, Flip))
        return DatasetCard(
            num_classes=still.num_classes,
            in_channels=2,
            input_size=self.input_size,
            num_train=still.num_train,
            num_test=still.num_test,
            is_events=True,
            augmentation=(*flips, Roll(pixels=max(1, self.input_size // 10))),
        )


class EntryPointDataset(Config):
    """A data set from a Python package installed on the nodes, under the entry points `tet.datasets`."""

    name: Literal["entry_point"] = "entry_point"
    entry_point: Annotated[
        str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,79}$", description="Name of the entry point.")
    ]
    num_classes: NumClasses
    in_channels: Annotated[int, Field(ge=1, le=8192)]
    input_size: InputSize
    is_events: bool = Field(False, description="Whether a sample is T frames and not one still image.")
    options: dict[str, str | int | float | bool] = Field(
        {}, description="Passed to the entry point's function as keyword arguments."
    )

    def card(self) -> DatasetCard:
        """Return the data set's card, with the values of the spec."""
        return DatasetCard(
            num_classes=self.num_classes,
            in_channels=self.in_channels,
            input_size=self.input_size,
            is_events=self.is_events,
        )


DatasetConfig = Annotated[
    Digits
    | FashionMnist
    | Cifar10
    | Cifar100
    | ImageNet
    | ImageFolder
    | DvsCifar10
    | EventFolder
    | Saccades
    | EntryPointDataset,
    Field(discriminator="name"),
]
DATASET_NAMES: tuple[str, ...] = tuple(
    member.model_fields["name"].default for member in get_args(get_args(DatasetConfig)[0])
)

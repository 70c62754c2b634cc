"""The published data sets: the names of their files and folders, and how to get them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tet_core.config import Cifar10, Cifar100, FashionMnist

Parts = tuple[tuple[str, ...], tuple[str, ...]]

FASHION_MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100_CLASSES = (
    *("apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle"),
    *("bicycle", "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel"),
    *("can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud"),
    *("cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant"),
    *("flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard"),
    *("lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree"),
    *("motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter"),
    *("palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine"),
    *("possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea"),
    *("seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider"),
    *("squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television"),
    *("tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale"),
    *("willow_tree", "wolf", "woman", "worm"),
)
FASHION_MNIST_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
IMAGENET_PARTS = ("train", "val")
DVS_CIFAR10_URL = "https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671"
DVS_CIFAR10_SIZE = "ten zip files, 8.0 GB"
_ELSEWHERE = "(set TET_DATA or the data root for another place)"


@dataclass(frozen=True)
class CifarFiles:
    """The files of the training and of the test set of one version, and the folder that its archive unpacks to."""

    folder: str
    parts: Parts


@dataclass(frozen=True)
class CifarVersions:
    """The two versions of one CIFAR data set that can be read, and the name of the python version's archive."""

    python: CifarFiles
    binary: CifarFiles
    archive: str

    @property
    def both(self) -> tuple[CifarFiles, CifarFiles]:
        """Both versions."""
        return self.python, self.binary


CIFAR = {
    "cifar10": CifarVersions(
        CifarFiles("cifar-10-batches-py", (tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",))),
        CifarFiles(
            "cifar-10-batches-bin",
            (tuple(f"data_batch_{number}.bin" for number in range(1, 6)), ("test_batch.bin",)),
        ),
        "cifar-10-python.tar.gz",
    ),
    "cifar100": CifarVersions(
        CifarFiles("cifar-100-python", (("train",), ("test",))),
        CifarFiles("cifar-100-binary", (("train.bin",), ("test.bin",))),
        "cifar-100-python.tar.gz",
    ),
}


def cifar_folder(version: CifarFiles, own: Path) -> Path | None:
    """Return the folder with all files of a version: the archive's folder in `own`, or `own`; None if there is none."""
    for folder in (own / version.folder, own):
        if all((folder / file).is_file() for part in version.parts for file in part):
            return folder
    return None


def fashion_mnist_folder(own: Path, debian_folder: Path = DEBIAN_FOLDER) -> Path | None:
    """Return the folder with all files of Fashion-MNIST, or None."""
    for folder in (own, debian_folder):
        if all((folder / file).exists() for file in FASHION_MNIST_FILES):
            return folder
    return None


def is_present(config: FashionMnist | Cifar10 | Cifar100, root: Path) -> bool:
    """Return whether a data set that could be downloaded is there, unpacked or as its archive."""
    own = root / config.name
    if isinstance(config, FashionMnist):
        return fashion_mnist_folder(own) is not None
    versions = CIFAR[config.name]
    return (own / versions.archive).is_file() or any(cifar_folder(each, own) is not None for each in versions.both)


def missing_imagenet(folder: Path) -> str | None:
    """Return which folders of ImageNet are missing, and how to get them; None if both are there."""
    missing = [part for part in IMAGENET_PARTS if not (folder / part).is_dir()]
    if not missing:
        return None
    return (
        f"imagenet is not here: looked for the folders train and val in {folder}, and there is no "
        f"{' and no '.join(missing)}. Get ILSVRC2012 (148 GB) from https://image-net.org, which asks for a "
        f"registration, and unpack it to {folder}/train/<WordNet id>/*.JPEG and {folder}/val/<WordNet id>/*.JPEG "
        f"{_ELSEWHERE}"
    )


def missing_dvs_cifar10(folder: Path) -> str | None:
    """Return which class folders of CIFAR10-DVS are missing, and how to get them; None if all are there."""
    missing = [name for name in CIFAR10_CLASSES if not (folder / name).is_dir()]
    return _how_to_get_dvs_cifar10(folder, missing) if missing else None


def _how_to_get_dvs_cifar10(folder: Path, missing: Sequence[str]) -> str:
    packed = [name for name in missing if (folder / f"{name}.zip").exists()]
    if packed:
        return f"dvs_cifar10: {folder} has {', '.join(f'{name}.zip' for name in packed)}; unpack them there"
    return (
        f"dvs_cifar10 is not here: looked for the class folders {', '.join(missing)} in {folder}. Get CIFAR10-DVS "
        f"({DVS_CIFAR10_SIZE}) from {DVS_CIFAR10_URL} and unpack them into {folder}, so that there is "
        f"{folder / 'cat' / 'cifar10_cat_0.aedat'} {_ELSEWHERE}"
    )


def missing_own(name: str, folder: Path) -> str:
    """Return the error of a user's folder that is not there."""
    return (
        f"{name} is not here: looked for {folder}; put one folder for each class there, or train and "
        f"test with one folder for each class {_ELSEWHERE}"
    )

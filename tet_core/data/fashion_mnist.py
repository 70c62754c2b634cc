"""Fashion-MNIST: 70,000 pictures of clothes, 28x28 grey pixels, 10 classes, with its own train/test split.

It is looked for in `<data root>/fashion_mnist`, then in the folder of Debian's package dataset-fashion-mnist; otherwise
it is downloaded into the data root.

Source: Xiao, Rasul, Vollgraf: "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
arXiv:1708.07747.
"""

import hashlib
from pathlib import Path

from torch import Tensor, int64

from tet_core.config import FashionMnist
from tet_core.data import idx
from tet_core.data.dataset import DataError, Dataset, Split, described
from tet_core.data.download import RemoteFile, download
from tet_core.inventory.published import DEBIAN_FOLDER as DEBIAN_FOLDER
from tet_core.inventory.published import FASHION_MNIST_CLASSES, fashion_mnist_folder

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"  # the authors' server, which has no HTTPS
SIZE = "31 MB"

# The authors publish MD5 checksums; these are the SHA-256 checksums of the files with those MD5 checksums.
FILES = (
    RemoteFile(
        "train-images-idx3-ubyte.gz", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    RemoteFile(
        "train-labels-idx1-ubyte.gz", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
    RemoteFile(
        "t10k-images-idx3-ubyte.gz", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    RemoteFile("t10k-labels-idx1-ubyte.gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)

# SHA-256 of the values only: Debian's files are compressed again, but hold the same values.
VALUES_SHA256 = {
    "train-images-idx3-ubyte.gz": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
    "train-labels-idx1-ubyte.gz": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
    "t10k-images-idx3-ubyte.gz": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
    "t10k-labels-idx1-ubyte.gz": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
}

# Mean and standard deviation over all pixels of the training set, in grey levels (0 to 255).
MEAN, STD = 72.9404, 90.0212


def load_fashion_mnist(root: Path, *, debian_folder: Path = DEBIAN_FOLDER, url: str = URL) -> Dataset:
    """Load Fashion-MNIST.

    Args:
        root: The data root.
        debian_folder: The folder of Debian's package.
        url: The URL of the files' folder, with a slash at the end.

    Raises:
        DataError: If the data set is missing and cannot be downloaded, or a file is damaged; the message tells which.
    """
    card = FashionMnist().card()
    folder = find_or_download(root, debian_folder, url)
    train_images, train_labels, test_images, test_labels = (_read_checked(folder / file.name) for file in FILES)
    train = Split(train_images.unsqueeze(1), train_labels.to(int64))
    test = Split(test_images.unsqueeze(1), test_labels.to(int64))
    return described(
        card,
        train,
        test,
        name="fashion_mnist",
        mean=(MEAN,),
        std=(STD,),
        source=str(folder),
        classes=FASHION_MNIST_CLASSES,
    )


def find_or_download(root: Path, debian_folder: Path, url: str) -> Path:
    """Return the folder with all four files; download them if there is none.

    Raises:
        DataError: If the files are missing and cannot be downloaded.
    """
    target = root / "fashion_mnist"
    if (folder := fashion_mnist_folder(target, debian_folder)) is not None:
        return folder
    try:
        for file in FILES:
            download(url, file, target)
    except DataError as error:
        raise DataError(
            f"fashion_mnist is not here: looked for {', '.join(file.name for file in FILES)} in {target} and "
            f"{debian_folder}. Get the four files ({SIZE}) from {url} and put them into {target} (set TET_DATA or the "
            f"data root for another place), or install Debian's package dataset-fashion-mnist. {error}"
        ) from error
    return target


def _read_checked(path: Path) -> Tensor:
    values = idx.read_idx(path)
    digest = hashlib.sha256(values.numpy().data).hexdigest()
    if digest != VALUES_SHA256[path.name]:
        raise DataError(
            f"{path}: not Fashion-MNIST as published: its values have SHA-256 {digest}, "
            f"expected {VALUES_SHA256[path.name]}; delete it and get it again"
        )
    return values

"""The digits data set: 1,797 real scans of handwritten digits, 8x8 pixels of 17 grey levels.

It is part of scikit-learn, so nothing is downloaded. It has no train/test split, so we make one: the last fifth of each
class, in file order, is the test set. Neighbouring scans come from the same writer, so most writers of the test set are
not in the training set. With a random split, most writers would be in both.

Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from importlib.metadata import distribution

import numpy as np
import torch
from torch import Tensor

from tet_core.config import Digits
from tet_core.data.dataset import Dataset, Split, described

# Mean and standard deviation over all pixels of our training set, in grey levels (0 to 16). Constants, so that a
# checkpoint's network gets the same numbers on any machine.
MEAN, STD = 4.8851, 6.0073

# The file that `sklearn.datasets.load_digits` reads: on each line the pixels of a scan and its class.
FILE = "sklearn/datasets/data/digits.csv.gz"
SIZE = 8  # width and height of a scan, in pixels
TEST_FRACTION = 5  # one fifth, rounded down within each class


def load_digits(config: Digits | None = None) -> Dataset:
    """Load digits from scikit-learn.

    Args:
        config: The size of the images; 8x8, as scanned, by default.

    Raises:
        DataError: If the installed scikit-learn holds another data set under this name.
    """
    card = (config or Digits()).card()
    # Only its file is read: importing scikit-learn would take a second of every trial's process.
    package = distribution("scikit-learn")
    raw = torch.from_numpy(np.loadtxt(str(package.locate_file(FILE)), dtype=np.uint8, delimiter=","))
    scale = card.input_size // SIZE
    images = raw[:, :-1].reshape(-1, 1, SIZE, SIZE)
    images = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    labels = raw[:, -1].to(torch.int64)
    split = Split(images, labels)
    is_test = _last_fifth_of_each_class(labels, card.num_classes)
    train, test = (split.subset(mask.nonzero().flatten()) for mask in (~is_test, is_test))
    source = f"sklearn.datasets.load_digits, scikit-learn {package.version}"
    classes = [str(digit) for digit in range(card.num_classes)]
    return described(card, train, test, name="digits", mean=(MEAN,), std=(STD,), source=source, classes=classes)


def _last_fifth_of_each_class(labels: Tensor, num_classes: int) -> Tensor:
    """Return the mask `[N]` of the test samples."""
    is_test = torch.zeros_like(labels, dtype=torch.bool)
    for label in range(num_classes):
        members = (labels == label).nonzero().flatten()
        is_test[members[len(members) - len(members) // TEST_FRACTION :]] = True
    return is_test

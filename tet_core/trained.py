"""A trained network that classifies images, without the data that it was trained on.

Shapes: N images, B images of a batch, T time steps, K classes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, assert_never

import torch
from torch import Tensor

from tet_core import environment
from tet_core.checkpoint import load_checkpoint
from tet_core.config import (
    Cifar10,
    Cifar100,
    DatasetConfig,
    Digits,
    DvsCifar10,
    EntryPointDataset,
    EventFolder,
    FashionMnist,
    ImageFolder,
    ImageNet,
    Saccades,
    TrainConfig,
)
from tet_core.data import cifar, digits, fashion_mnist
from tet_core.data.events import samples
from tet_core.data.given import Images, Preprocessing
from tet_core.data.images import statistics_of as image_statistics
from tet_core.errors import CheckpointError
from tet_core.finite import check_loaded, infinite_buffers
from tet_core.measure.evaluation import BATCH_SIZE
from tet_core.network import build_network, run_network


class TrainedNetwork:
    """A trained network.

    Attributes:
        config: The training stage.
        model: The network in evaluation mode: from `[T, B, C, H, W]`, normalised, to `[T, B, K]`.
        preprocessing: The way from an image to the network's input.
        classes: The names of the K classes, by label. If the checkpoint has no names, they are "0", "1", ...
        metrics: The metrics of the epoch after which the checkpoint was written, such as `test/accuracy`.
    """

    def __init__(self, checkpoint: Mapping[str, Any], device: Literal["cpu", "cuda"] | None = None) -> None:
        """Make the network of a checkpoint.

        Args:
            checkpoint: A checkpoint of a training stage.
            device: As for `load`.

        Raises:
            As for `load`.
        """
        config = TrainConfig.model_validate(checkpoint["config"])
        where = device or (config.device if torch.cuda.is_available() else "cpu")
        self.config = config.model_copy(update={"device": where})
        self.model = build_network(self.config)
        check_loaded(checkpoint, self.model, infinite_buffers(self.model))
        self.model.load_state_dict(checkpoint["model"])
        self.model.eval()
        self.metrics: dict[str, float] = dict(checkpoint["metrics"])
        self.classes, self.preprocessing = _of_data(checkpoint, self.config)

    @property
    def T(self) -> int:
        """The number of time steps."""
        return self.config.T

    def classify(self, images: Images) -> list[str]:
        """Return the name of the class of each image, by the argmax of `scores`.

        Args:
            images: One of these:

                - an array or tensor `[N, H, W, C]`, uint8: still images in the units of the data set (0 to 255; 0 to 16
                  for digits). Images of another size or with other channels are converted as files are.
                - paths of image files, in any format that `image_folder` reads.
                - paths of AEDAT 2.0 recordings, if the network was trained on recordings.
                - an array or tensor `[N, T, H, W, 2]`: recordings that are cut into frames of event counts.

                A network that was trained on `saccades` takes still images, and simulates the camera.

        Raises:
            DataError: If the images are of another kind, or a file is missing or damaged; the message says what is
                accepted.
        """
        return [self.classes[label] for label in self.scores(images).argmax(1).tolist()]

    @torch.no_grad()
    def scores(self, images: Images) -> Tensor:
        """Return the outputs of each image, averaged over the time steps: `[N, K]`, float64, on the CPU.

        The batches are those of the test set's evaluation, so the test samples get the same bits as there.

        Args:
            images: As for `classify`.
        """
        config = self.config
        device, dtype = environment.device(config), environment.dtype(config)
        self.model.eval()
        means = [torch.empty(0, config.dataset.card().num_classes, dtype=torch.float64)]
        with environment.applied(config):
            for x_TBCHW in self.preprocessing.batches(images, BATCH_SIZE, dtype, device):
                means.append(run_network(self.model, x_TBCHW, config).double().mean(0).cpu())
        return torch.cat(means)


def load(path: Path | str, *, device: Literal["cpu", "cuda"] | None = None) -> TrainedNetwork:
    """Load a trained network: a `model.pt` of an experiment, or any other checkpoint of a training.

    The training data is not needed.

    Args:
        path: The file.
        device: Where to run the network; None: the device that it was trained on, or the CPU if this machine has no
            CUDA device. The last digits of the outputs depend on the device.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is damaged, or is a network of an entry point's data set that an earlier version
            trained: such a file does not say how the samples are normalised.
        ConfigError: If the device is missing, or no installed package offers the network's entry point.
        FloatingPointError: If the weights are not finite.

    Example:
        >>> network = load("model.pt")  # doctest: +SKIP
        >>> network.classify(["cat.png"])  # doctest: +SKIP
        ['cat']
    """
    return TrainedNetwork(load_checkpoint(path), device)


def _of_data(checkpoint: Mapping[str, Any], config: TrainConfig) -> tuple[tuple[str, ...], Preprocessing]:
    """Return the names of the classes, and the preprocessing."""
    data: Mapping[str, Any] = checkpoint.get("data", {})
    names = data.get("classes") or [str(label) for label in range(config.dataset.card().num_classes)]
    mean, std = (data["mean"], data["std"]) if data else _usual_statistics(config.dataset)
    return tuple(names), Preprocessing(config.dataset, config.T, tuple(mean), tuple(std))


def _usual_statistics(config: DatasetConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of a data set, for checkpoints that an earlier version wrote without them."""
    match config:
        case Digits():
            return (digits.MEAN,), (digits.STD,)
        case FashionMnist():
            return (fashion_mnist.MEAN,), (fashion_mnist.STD,)
        case Cifar10() | Cifar100():
            return cifar.statistics_of(config)
        case ImageNet() | ImageFolder():
            return image_statistics(config.card().in_channels)
        case DvsCifar10() | EventFolder() | Saccades():
            return samples.MEAN, samples.STD
        case EntryPointDataset():
            raise CheckpointError(
                f"the checkpoint does not say how the samples of entry_point {config.entry_point!r} are normalised: an "
                "earlier version wrote it; train the stage again"
            )
        case unknown:
            assert_never(unknown)

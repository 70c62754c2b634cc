"""The loss landscape of a trained network: L_SDT and L_TET on one grid of weights in a random plane.

    w(alpha, beta) = w + alpha * d1 + beta * d2

The directions d1 and d2 are Gaussian and filter-normalised: each filter of a direction has the norm of the filter that
it moves, so that networks whose weights have different scales can be compared. Only the weights of convolutions and
linear layers move. Biases, norms and their running statistics stay, as in the source's code (its option "biasbn").

Source: Li et al., "Visualizing the Loss Landscape of Neural Nets", NeurIPS 2018 (arXiv:1712.09913), section 4;
Deng et al., ICLR 2022, Fig. 2.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tet_core import seed
from tet_core.analysis.subject import Record, Row, Subject, finite, finite_or_none
from tet_core.config import Landscape
from tet_core.measure.operations import LAYERS

LOSSES = ("loss_sdt", "loss_tet")


def axis(landscape: Landscape) -> list[float]:
    """Return the coordinates along one axis of the grid, from -extent to extent; the middle one is exactly 0."""
    last = landscape.size - 1
    return [landscape.extent * (2 * i - last) / last for i in range(landscape.size)]


def direction(model: nn.Module, seed_: int, which: int) -> dict[str, Tensor]:
    """Return one filter-normalised direction.

    The Gaussian draws depend only on the seed, the direction and the weight's name. So arms with the same seed share
    the draws, and each arm scales them to its own weights.

    Args:
        model: The network at the origin of the grid.
        seed_: The experiment's seed.
        which: 1 or 2.

    Returns:
        For each weight's name a float64 tensor of the weight's shape, on the weight's device.
    """
    directions = {}
    for name, weight in _weights(model).items():
        generator = seed.generator(seed_, f"landscape {which} {name}")
        draw = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)
        # One norm for each output: of a filter, or of a row of a linear layer. A Gaussian draw never has norm 0.
        norms = weight.detach().double().flatten(1).norm(dim=1) / draw.flatten(1).norm(dim=1)
        directions[name] = draw * norms.view(-1, *[1] * (weight.ndim - 1))
    return directions


def _weights(model: nn.Module) -> dict[str, Tensor]:
    weights = {}
    for name, module in model.named_modules():
        if isinstance(module, LAYERS):
            assert isinstance(module.weight, Tensor)
            weights[f"{name}.weight"] = module.weight
    return weights


@torch.no_grad()
def _move(weights: dict[str, Tensor], origin: dict[str, Tensor], *steps: tuple[float, dict[str, Tensor]]) -> None:
    """Set the weights to the origin plus the steps, computed in float64, so that (0, 0) is exactly the origin."""
    for name, weight in weights.items():
        target = origin[name]
        for length, along in steps:
            target = target + length * along[name]
        weight.copy_(target)


def landscape_rows(subject: Subject, landscape: Landscape, done: int = 0) -> Iterator[Row]:
    """Yield the rows of the grid, measured one by one: alpha changes within a row, beta between rows.

    With all test samples, the centre equals the checkpoint's `test/loss_sdt` and `test/loss_tet` to the last digit. The
    network has its trained weights again when a row is yielded.

    Args:
        subject: The network.
        landscape: The grid, and the samples.
        done: Number of rows that are already measured; they are left out.
    """
    weights, coordinates = _weights(subject.model), axis(landscape)
    origin = {name: weight.detach().double() for name, weight in weights.items()}
    d1, d2 = (direction(subject.model, subject.config.seed, which) for which in (1, 2))
    T = subject.config.T
    dataset = subject.dataset(T)
    samples = subject.samples(dataset, landscape.split, landscape.num_samples)
    for row in range(done, landscape.size):
        records: list[Record] = []
        for column, alpha in enumerate(coordinates):
            _move(weights, origin, (alpha, d1), (coordinates[row], d2))
            metrics = subject.measure(dataset, samples, T)
            place: Record = {"row": row + 1, "column": column + 1, "alpha": alpha, "beta": coordinates[row]}
            records.append(place | {key: finite_or_none(metrics[key]) for key in (*LOSSES, "accuracy")})
        _move(weights, origin)
        yield Row(row + 1, row + 1, _summary(records, is_central=2 * row == landscape.size - 1), records)


def _summary(records: list[Record], *, is_central: bool) -> dict[str, float]:
    """Return the smallest and largest losses of a row, and in the middle row also the losses at the centre."""
    metrics: dict[str, float] = {}
    for loss in LOSSES:
        values = [float(value) for record in records if (value := record[loss]) is not None]
        if values:
            metrics |= {f"landscape/{loss}_min": min(values), f"landscape/{loss}_max": max(values)}
        centre = records[len(records) // 2][loss]
        if is_central and centre is not None:
            metrics[f"landscape/{loss}_centre"] = float(centre)
    return finite(metrics)

"""The loss landscape of a chain as a grid, and a number for how flat it is."""

from dataclasses import dataclass
from math import hypot, isfinite, nan
from statistics import fmean

from service.curves import GRID_COORDINATE, grid_metric
from service.figures.figure_data import ArmSeries

# The radius of the disc over which the rise is averaged. At coordinate 1 every filter has moved by its own norm.
RADIUS = 0.5


@dataclass(frozen=True)
class Grid:
    """A square grid of losses.

    Attributes:
        coordinates: The coordinates along each side, in rising order; the middle one is 0.
        losses: The losses, row by row; NaN where a loss was not finite.
    """

    coordinates: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]

    @property
    def centre(self) -> float:
        """The loss of the trained network."""
        middle = len(self.coordinates) // 2
        return self.losses[middle][middle]

    def mean_rise(self) -> float:
        r"""Return the mean of L(alpha, beta) - L(0, 0) over the points within `RADIUS` of the centre, itself included.

        A smaller number means a flatter landscape. It is the expected sharpness of Neyshabur et al., "Exploring
        Generalization in Deep Learning", NeurIPS 2017, equation 5, with a uniform draw from a disc of the random plane
        in place of Gaussian noise on all weights. NaN if a loss in the disc is not finite.
        """
        within = [
            self.losses[row][column]
            for row, beta in enumerate(self.coordinates)
            for column, alpha in enumerate(self.coordinates)
            if hypot(alpha, beta) <= RADIUS + 1e-9
        ]
        return fmean(within) - self.centre if all(map(isfinite, within)) else nan


def grid_of(series: ArmSeries, loss: str) -> Grid | None:
    """Return the grid of a loss (`loss_sdt` or `loss_tet`); None if an earlier version kept only its extremes."""
    coordinates = series.values.get(GRID_COORDINATE, ())
    columns = [series.values.get(grid_metric(loss, number)) for number in range(len(coordinates))]
    found = [column for column in columns if column is not None]
    if not coordinates or len(found) < len(coordinates):
        return None
    return Grid(tuple(coordinates), tuple(zip(*found, strict=True)))

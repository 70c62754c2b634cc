"""Settings of the analyses of a trained network, and an analysis stage with everything resolved."""

from collections.abc import Mapping
from typing import Annotated, Literal, assert_never

from pydantic import AfterValidator, BeforeValidator, Field

from tet_core.config.shared import MAX_T, Config, NumSteps
from tet_core.config.train_config import TrainConfig

# The result files of an analysis: its table as JSON and as CSV, and a plot.
TABLE, TABLE_CSV, PLOT = "table.json", "table.csv", "plot.png"
RESULTS = (TABLE, TABLE_CSV, PLOT)

MAX_SAMPLES = 10_000_000
MAX_GRID = 201


class StepRange(Config):
    """Every number of steps from `first` to `last`, both included."""

    first: NumSteps
    last: NumSteps


def _expanded(value: object) -> object:
    """Return the numbers of a range; return any other value unchanged."""
    if not isinstance(value, Mapping):
        return value
    ends = [value.get(key) for key in ("first", "last")]
    if set(value) != {"first", "last"} or any(type(end) is not int for end in ends):
        raise ValueError("must be a list of integers, or a range with the keys first, last")
    first, last = (int(end) for end in ends if end is not None)
    if not 1 <= first <= last <= MAX_T:
        raise ValueError(f"must be a range with 1 <= first <= last <= {MAX_T:,}")
    return tuple(range(first, last + 1))


def _distinct(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(value)) < len(value):
        raise ValueError("must name each number of time steps once")
    return value


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd, so that the grid has a centre")
    return value


Steps = Annotated[
    tuple[NumSteps, ...],
    Field(min_length=1, max_length=MAX_T, description="Numbers of time steps: a list, or {first, last}."),
    BeforeValidator(_expanded, json_schema_input_type=tuple[NumSteps, ...] | StepRange),
    AfterValidator(_distinct),
]
NumSamples = Annotated[int, Field(ge=1, le=MAX_SAMPLES)]


class TimeSweep(Config):
    """The network measured at other numbers of time steps, without fine-tuning (Fig. 4A)."""

    kind: Literal["time_sweep"] = "time_sweep"
    T: Steps

    def num_rows(self) -> int:
        """Return how many rows there are: one for each number of steps."""
        return len(self.T)


class Landscape(Config):
    """L_SDT and L_TET on one grid of weights around the trained ones (Fig. 2)."""

    kind: Literal["landscape"] = "landscape"
    size: Annotated[int, Field(ge=3, le=MAX_GRID), AfterValidator(_odd)] = Field(
        21, description="Number of points along each side of the grid."
    )
    extent: float = Field(
        1.0, gt=0, le=100, description="Largest coordinate; at coordinate 1 every filter has moved by its own norm."
    )
    split: Literal["test", "train"] = Field("test", description="The samples that the losses are averaged over.")
    num_samples: NumSamples | None = Field(None, description="How many of these samples, drawn by the seed; None: all.")

    def num_rows(self) -> int:
        """Return how many rows there are: one for each row of the grid."""
        return self.size


class EnergyTable(Config):
    """The energy of one operation, in pJ; a multiplication includes the addition that follows it."""

    addition_pj: float
    multiplication_pj: float
    source: str


# The numbers under a name never change: numbers of another source or another manufacturing process get a new name.
ENERGY_TABLES = {
    "horowitz-2014-45nm": EnergyTable(
        addition_pj=0.9,
        multiplication_pj=4.6,
        source="Horowitz: Computing's energy problem, ISSCC 2014: 45 nm, 32-bit floating point, "
        "addition 0.9 pJ, multiplication 3.7 pJ",
    )
}


class Energy(Config):
    """Operations and firing rate of every layer, and from them the estimated energy of an image (Fig. 4B)."""

    kind: Literal["energy"] = "energy"
    T: Steps | None = Field(None, description="Numbers of time steps, a list or {first, last}; None: as trained.")
    num_samples: NumSamples | None = Field(None, description="How many test samples, drawn by the seed; None: all.")
    table: Literal["horowitz-2014-45nm"] = "horowitz-2014-45nm"

    def num_rows(self) -> int:
        """Return how many rows there are: one for each number of steps."""
        return 1 if self.T is None else len(self.T)


Analysis = Annotated[TimeSweep | Landscape | Energy, Field(discriminator="kind")]
ANALYSES = ("time_sweep", "landscape", "energy")


class AnalysisConfig(Config):
    """An analysis stage with everything resolved.

    `train` is the stage whose last checkpoint is analysed: it names data, network, device and precision.
    """

    train: TrainConfig
    analysis: Analysis

    @property
    def T(self) -> int | None:
        """Number of time steps that the network is run for; None if the analysis varies it."""
        match self.analysis:
            case Landscape():
                return self.train.T
            case Energy(T=None):
                return self.train.T
            case Energy() | TimeSweep():
                return None
            case unknown:
                assert_never(unknown)

    @property
    def epochs(self) -> int:
        """Number of rows of the analysis; each row is committed like an epoch of a training."""
        return self.analysis.num_rows()

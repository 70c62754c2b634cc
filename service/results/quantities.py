"""The quantities that a comparison can be asked about, and where the value of a chain comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from service.answers.units import Unit
from service.curves import BEST_TEST, BEST_VAL, FIRING_RATE
from service.errors import FieldError, SpecInvalid
from service.spec import Experiment

TEST_ACCURACY, TRAIN_TIME = "test/accuracy", "train_time_s"
_OF_A_SPLIT = {"accuracy": Unit.ACCURACY, "loss": Unit.LOSS, "loss_sdt": Unit.LOSS, "loss_tet": Unit.LOSS}
_OF_ENERGY = {
    "uj_per_image": Unit.MICROJOULES,
    "uj_per_image_paper": Unit.MICROJOULES,
    "additions": Unit.COUNT,
    "multiplications": Unit.COUNT,
    "firing_rate": Unit.SHARE,
    "accuracy": Unit.ACCURACY,
}


class Source(Enum):
    """Where the value of a chain comes from."""

    LAST_EPOCH = "the metrics of the last epoch of the last train stage"
    SUMMARY = "the summary of the curves of the last train stage"
    TRAIN_TIME = "the training times of all stages"
    TIME_SWEEP = "the rows of the last time sweep: one value for each T"
    ENERGY = "the last row of the last energy analysis"


@dataclass(frozen=True)
class Quantity:
    """A quantity.

    Attributes:
        name: Its name in the API: that of the metric, where it is one.
        unit: Its unit.
        source: Where the value of a chain comes from.
        higher_is_better: Whether a larger value is better.
    """

    name: str
    unit: Unit
    source: Source
    higher_is_better: bool = False

    @property
    def has_T(self) -> bool:
        """Whether a chain has a value at each of several T."""
        return self.source is Source.TIME_SWEEP


DEFAULT = Quantity(TEST_ACCURACY, Unit.ACCURACY, Source.LAST_EPOCH, higher_is_better=True)


def quantities_of(spec: Experiment) -> dict[str, Quantity]:
    """Return the quantities that the chains of an experiment have, by name; the default first."""
    found: dict[str, Quantity] = {}
    for quantity in _quantities(spec):
        found.setdefault(quantity.name, quantity)  # the default is also one of the metrics of the test set
    return found


def _quantities(spec: Experiment) -> Iterator[Quantity]:
    yield DEFAULT
    yield Quantity(BEST_TEST, Unit.ACCURACY, Source.SUMMARY, higher_is_better=True)
    yield from _measured("test", Source.LAST_EPOCH, names=("loss", "loss_sdt", "loss_tet"))
    yield from _measured("train", Source.LAST_EPOCH, names=("loss", "accuracy"))
    yield Quantity(TRAIN_TIME, Unit.SECONDS, Source.TRAIN_TIME)
    yield Quantity(FIRING_RATE, Unit.SHARE, Source.SUMMARY)
    if spec.validation > 0:
        yield Quantity(BEST_VAL, Unit.ACCURACY, Source.SUMMARY, higher_is_better=True)
        yield from _measured("val", Source.LAST_EPOCH)
        if spec.search is not None and "val/energy_j" in spec.search.goal:
            yield Quantity("val/energy_j", Unit.JOULES, Source.LAST_EPOCH)
    kinds = {stage.kind for arm in spec.arms for stage in arm.stages}
    if "time_sweep" in kinds:
        yield from _measured("time_sweep", Source.TIME_SWEEP)
    if "energy" in kinds:
        for name, unit in _OF_ENERGY.items():
            yield Quantity(f"energy/{name}", unit, Source.ENERGY, higher_is_better=unit is Unit.ACCURACY)


def _measured(prefix: str, source: Source, names: tuple[str, ...] = tuple(_OF_A_SPLIT)) -> Iterator[Quantity]:
    for name in names:
        unit = _OF_A_SPLIT[name]
        yield Quantity(f"{prefix}/{name}", unit, source, higher_is_better=unit is Unit.ACCURACY)


def quantity_of(spec: Experiment, name: str) -> Quantity:
    """Return a quantity of an experiment by its name.

    Raises:
        SpecInvalid: The chains of the experiment have no such quantity; the error names all that they have.
    """
    known = quantities_of(spec)
    if name not in known:
        raise SpecInvalid([FieldError.at(("quantity",), name, f"must be one of {', '.join(known)}")])
    return known[name]


def arm_of(spec: Experiment, name: str) -> str:
    """Return the name of an arm that a request asks for as the baseline.

    Raises:
        SpecInvalid: The experiment has no such arm.
    """
    names = [arm.name for arm in spec.arms]
    if name not in names:
        listed = ", ".join(map(repr, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        raise SpecInvalid([FieldError.at(("baseline",), name, f"must be the name of an arm: {listed}")])
    return name

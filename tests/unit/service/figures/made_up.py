"""Made-up data for figures: curves that look like those of trainings and analyses."""

import random
from math import exp, inf, nan

from service.curves import GRID_COORDINATE, grid_metric
from service.figures.figure_data import ArmSeries, FigureData, PairDifferences, TriedPoint

LONG = "TET with a name of eighty characters, lamb 0.05 and phi 1.0, two time steps, $x_1$"


def arm_series(arm: str, place: int, seed: int, *, epochs: int, switch: int | None = None) -> list[ArmSeries]:
    """Return the series of a chain: one or two train stages, a time sweep, an energy analysis and a landscape."""
    draw = random.Random(f"{arm} {seed}")
    best = 0.90 + 0.01 * place + draw.gauss(0, 0.004)
    stages = [epochs] if switch is None else [switch, epochs - switch]
    series, done = [], 0
    for stage, length in enumerate(stages):
        steps = tuple(range(1, length + 1))
        fall = [exp(-(done + step) / (0.25 * epochs)) for step in steps]
        values = {
            "test/accuracy": tuple(best - 0.6 * each + draw.gauss(0, 0.004) for each in fall),
            "train/accuracy": tuple(min(1.0, best + 0.05 - 0.5 * each) for each in fall),
            "test/loss_sdt": tuple(0.2 + 2.1 * each + 0.05 * place for each in fall),
            "test/loss_tet": tuple(0.4 + 2.4 * each - 0.15 * stage for each in fall),
        }
        series.append(ArmSeries(arm, seed, stage, "train", 2 if stage < len(stages) - 1 else 4, steps, values))
        done += length
    T = tuple(range(1, 9))
    sweep = {
        "time_sweep/accuracy": tuple(best - 0.3 * exp(-t / (1 + 0.3 * place)) for t in T),
        "time_sweep/loss_tet": tuple(0.3 + 1.5 / t + 0.02 * place for t in T),
    }
    series.append(ArmSeries(arm, seed, len(stages), "time_sweep", None, T, sweep))
    energy = {
        "energy/uj_per_image": tuple(0.8 * t * (1 + 0.1 * place) + draw.gauss(0, 0.02) for t in (2, 4)),
        "energy/uj_per_image_paper": tuple(0.4 * t * (1 + 0.1 * place) for t in (2, 4)),
        "energy/accuracy": tuple(best - 0.1 / t for t in (2, 4)),
    }
    series.append(ArmSeries(arm, seed, len(stages) + 1, "energy", None, (2, 4), energy))
    series.append(landscape(arm, seed, len(stages) + 2, steep=1.5 + place))
    return series


def landscape(arm: str, seed: int, stage: int, *, steep: float, size: int = 11) -> ArmSeries:
    """Return a landscape: a bowl, whose farthest corner is not finite."""
    at = [2 * number / (size - 1) - 1 for number in range(size)]
    values = {GRID_COORDINATE: tuple(at)}
    for loss, floor in (("loss_sdt", 0.2), ("loss_tet", 0.4)):
        for column, alpha in enumerate(at):
            column_values = [floor + steep * (alpha**2 + 0.6 * beta**2 + 0.3 * alpha * beta) for beta in at]
            if column == size - 1:
                column_values[-1] = nan
            values[grid_metric(loss, column)] = tuple(column_values)
    return ArmSeries(arm, seed, stage, "landscape", 4, tuple(range(1, size + 1)), values)


def made_up(arms: int = 3, seeds: int = 4, *, epochs: int = 60, names: tuple[str, ...] | None = None) -> FigureData:
    """Return the data of an experiment with analyses; every third arm has two train stages."""
    names = names or ("SDT", "TET", "TIT", *(f"arm {number}" for number in range(4, 30)))[:arms]
    series = [
        each
        for place, arm in enumerate(names)
        for seed in range(seeds)
        for each in arm_series(arm, place, seed, epochs=epochs, switch=epochs * 2 // 3 if place % 3 == 2 else None)
    ]
    pairs = tuple(differences(arm, names[0], place, seeds) for place, arm in enumerate(names) if place)
    return FigureData(names, names[0], tuple(series), pairs)


def differences(arm: str, to: str, place: int, seeds: int) -> PairDifferences:
    """Return the differences of a pair; with one seed there is no interval."""
    draw = random.Random(place)
    values = tuple(draw.gauss(place, 0.6) for _ in range(seeds))
    mean = sum(values) / seeds
    low, high = (mean - 0.5, mean + 0.5) if seeds > 1 else (None, None)
    return PairDifferences(
        arm, to, tuple(range(seeds)), values, mean, low, high, "better" if seeds > 1 else "undecided"
    )


def searched(num: int = 500) -> FigureData:
    """Return the data of a search with `num` configurations of each of two arms."""
    draw = random.Random(0)
    tried = [TriedPoint(arm, n, draw.betavariate(6, 2), False) for arm in ("SDT", "TET") for n in range(num)]
    best = {
        arm: max((each for each in tried if each.arm == arm), key=lambda each: each.val_accuracy)
        for arm in ("SDT", "TET")
    }
    marked = tuple(TriedPoint(t.arm, t.number, t.val_accuracy, t is best[t.arm]) for t in tried)
    return FigureData(("SDT", "TET"), "SDT", tried=marked)


def spoilt(data: FigureData) -> FigureData:
    """Return the same data with an arm without seeds, and with values that are missing or not finite."""
    series = []
    for each in data.series:
        if each.arm == data.arms[1]:
            continue
        if each.seed == 1:
            each = ArmSeries(
                each.arm,
                each.seed,
                each.stage,
                each.kind,
                each.T,
                each.steps,
                {name: (nan, inf, *values[2:]) for name, values in each.values.items()},
            )
        series.append(each)
    return FigureData(data.arms, data.baseline, tuple(series), data.pairs)

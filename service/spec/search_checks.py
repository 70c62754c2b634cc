"""Checks across the fields of a search, on plain data, like those of `service.spec.checks`."""

import sys
from collections.abc import Iterator
from typing import Any

from service.errors import FieldError
from service.spec.raw import Path, items
from service.spec.search import ACCURACY, KINDS, MAX_CONFIGURATIONS, MAX_LEARNT

GRID, DRAWN = "grid", ("random", "tpe")
# Smallest width of a range: relative to its larger end, and absolute. It still has more numbers than are ever drawn.
NARROWEST, SMALLEST = 1e-9, 1e-250


def search_faults(raw: dict[str, Any]) -> Iterator[FieldError]:
    """Yield the faults of a spec's search, if it has one."""
    search = raw.get("search")
    if isinstance(raw.get("early_stopping"), dict):
        yield from _early_stopping(raw, raw["early_stopping"])
    if not isinstance(search, dict):
        return
    yield from _chosen_on_validation(raw)
    yield from _num_configurations(search)
    yield from _goal(search.get("goal"))
    space = search.get("space")
    for place, dimension in space.items() if isinstance(space, dict) else ():
        if isinstance(dimension, dict):
            yield from _dimension(("search", "space", place), dimension, search.get("method") == GRID)


def _chosen_on_validation(raw: dict[str, Any]) -> Iterator[FieldError]:
    validation = raw.get("validation", 0.0)
    if type(validation) in (int, float) and validation == 0:
        detail = "must be above 0: a search chooses by val/accuracy, never by the test set"
        yield FieldError.at(("validation",), validation, detail)


def _num_configurations(search: dict[str, Any]) -> Iterator[FieldError]:
    path, wanted = ("search", "num_configurations"), search.get("num_configurations")
    if search.get("method") == GRID and wanted is not None:
        yield FieldError.at(path, wanted, "must be left out for a grid, whose points give the number")
    method = search.get("method")
    if method in DRAWN and wanted is None:
        yield FieldError.at(path, None, f"is required if the method is {method!r}")
    if method == "tpe" and type(wanted) is int and MAX_LEARNT < wanted <= MAX_CONFIGURATIONS:
        yield FieldError.at(path, wanted, f"must be at most {MAX_LEARNT:,} if the method is 'tpe'")


def _goal(goal: object) -> Iterator[FieldError]:
    if not isinstance(goal, list | tuple) or not goal:
        return
    path = ("search", "goal")
    if goal[0] != ACCURACY:
        yield FieldError.at((*path, 0), goal[0], f"must be {ACCURACY!r}; another goal may come second")
    elif ACCURACY in goal[1:]:
        yield FieldError.at((*path, 1), goal[1], "must not be listed twice")


def _early_stopping(raw: dict[str, Any], stopping: dict[str, Any]) -> Iterator[FieldError]:
    path = ("early_stopping",)
    search = raw.get("search")
    if not isinstance(search, dict):
        if search is None:
            yield FieldError.at(path, stopping, "must be left out without a search: arms train all of their epochs")
        return
    goal, space = search.get("goal"), search.get("space")
    if isinstance(goal, list | tuple) and len(goal) > 1:
        detail = "must be left out with two goals: a configuration that is less accurate may cost the least"
        yield FieldError.at(path, stopping, detail)
    for place in space if isinstance(space, dict) else ():
        if isinstance(place, str) and place.split(".")[-1] == "epochs":
            detail = f"must be left out if {place!r} is searched: equal epochs would not be equal progress"
            yield FieldError.at(path, stopping, detail)
    longest, grace = _longest_stage(raw), stopping.get("grace_epochs", 1)
    if longest is not None and type(grace) is int and grace >= longest:
        detail = f"must be below {longest}, the epochs of the longest train stage: otherwise no chain can end early"
        yield FieldError.at((*path, "grace_epochs"), grace, detail)


def _longest_stage(raw: dict[str, Any]) -> int | None:
    """Return the epochs of the longest train stage, or None if no stage has a valid number."""
    stages = [stage for _, arm in items(raw, "arms") if isinstance(arm, dict) for _, stage in items(arm, "stages")]
    epochs = [stage.get("epochs") for stage in stages if isinstance(stage, dict) and stage.get("kind") == "train"]
    return max((each for each in epochs if type(each) is int), default=None)


def _dimension(path: Path, dimension: dict[str, Any], of_grid: bool) -> Iterator[FieldError]:
    given = [kind for kind in KINDS if dimension.get(kind) is not None]
    if len(given) != 1:
        listed = " and ".join(given) or "none"
        yield FieldError.at(path, dimension, f"must have exactly one of {', '.join(KINDS)}; it has {listed}")
        return
    kind = given[0]
    if kind == "choice":
        yield from _choice((*path, kind), dimension[kind])
    else:
        yield from _range((*path, kind), kind, dimension[kind])
    points = dimension.get("points")
    if points is not None and (kind == "choice" or not of_grid):
        reason = "a choice has its own values" if kind == "choice" else "only a grid has points"
        yield FieldError.at((*path, "points"), points, f"must be left out: {reason}")
    if points is None and of_grid and kind in ("range", "log_range"):
        yield FieldError.at((*path, "points"), None, f"is required: how many values a grid takes from a {kind}")


def _choice(path: Path, values: object) -> Iterator[FieldError]:
    if not isinstance(values, list | tuple):
        return
    # A set, because a look-up in the list is slow: the list may be long, since nothing has checked its length yet.
    seen: set[int | float | str] = set()
    for index, value in enumerate(values):
        if not isinstance(value, int | float | str):
            continue
        if value in seen:
            yield FieldError.at((*path, index), value, "must not be listed twice")
        seen.add(value)


def _range(path: Path, kind: str, ends: object) -> Iterator[FieldError]:
    if not isinstance(ends, list | tuple) or len(ends) != 2 or not all(type(end) in (int, float) for end in ends):
        return
    low, high = ends
    if any(not -sys.float_info.max <= end <= sys.float_info.max for end in ends):
        return  # pydantic reports it
    if low >= high:
        yield FieldError.at(path, [low, high], "must have its first number below its second one")
    elif high / 2 - low / 2 > sys.float_info.max / 2:
        yield FieldError.at(path, [low, high], "must be narrower: its ends are further apart than any float")
    elif kind != "int_range" and high - low < max(NARROWEST * max(abs(low), abs(high)), SMALLEST):
        yield FieldError.at(path, [low, high], "must be wider: at least a billionth of its larger end")
    if kind == "log_range" and low <= 0:
        yield FieldError.at((*path, 0), low, "must be above 0, since other numbers have no logarithm")

"""Checks of seeds that are added until the arms are decided, on plain data, like those of `service.spec.checks`."""

from collections.abc import Iterator
from typing import Any

from service.errors import FieldError
from service.spec.raw import items, name_of
from service.spec.seed_range import MAX_UNTIL
from service.statistics.anytime import first_possible_n
from service.statistics.level import ALPHA
from tet_core.config.shared import MAX_SEED


def until_faults(raw: dict[str, Any]) -> Iterator[FieldError]:
    """Yield the faults of a range of seeds, if the spec has one."""
    seeds = raw.get("seeds")
    if not isinstance(seeds, dict):
        return
    for key in ("search", "early_stopping"):
        if raw.get(key) is not None:
            detail = f"must be a list beside {key!r}, which compares configurations over fixed seeds"
            yield FieldError.at(("seeds",), seeds, detail)
    yield from _last_seed(seeds)
    if (pairs := _pairs(raw)) is not None:
        yield from _undecided_arms(raw, pairs)
        yield from _too_few(seeds, len(pairs))


def _last_seed(seeds: dict[str, Any]) -> Iterator[FieldError]:
    first, at_most = seeds.get("first", 0), seeds.get("at_most")
    if type(first) is int and type(at_most) is int and first <= MAX_SEED < first + at_most - 1:
        yield FieldError.at(("seeds", "first"), first, f"must leave the last seed at {MAX_SEED:,} or below")


def _pairs(raw: dict[str, Any]) -> list[tuple[str, str]] | None:
    """Return the arms that are compared; None if an arm or a pair is malformed."""
    arms = [name_of(arm) for _, arm in items(raw, "arms")]
    if raw.get("compare") is None:
        baseline = arms[0] if arms and raw.get("baseline") is None else raw.get("baseline")
        named = [(arm, baseline) for arm in arms if arm != baseline]
    else:
        named = [
            (pair.get("arm"), pair.get("to")) if isinstance(pair, dict) else (None, None)
            for _, pair in items(raw, "compare")
        ]
    pairs = [(arm, to) for arm, to in named if isinstance(arm, str) and isinstance(to, str)]
    return pairs if arms and None not in arms and len(pairs) == len(named) else None


def _undecided_arms(raw: dict[str, Any], pairs: list[tuple[str, str]]) -> Iterator[FieldError]:
    """Refuse arms that no pair compares: no seed would decide when they end."""
    compared = {arm for pair in pairs for arm in pair}
    for index, arm in items(raw, "arms"):
        if (name := name_of(arm)) not in compared:
            detail = "must be compared with another arm if seeds are added until the arms are decided"
            yield FieldError.at(("arms", index, "name"), name, detail)


def _too_few(seeds: dict[str, Any], num_pairs: int) -> Iterator[FieldError]:
    at_most = seeds.get("at_most")
    if type(at_most) is not int or not 1 <= at_most <= MAX_UNTIL or not num_pairs:
        return
    least = first_possible_n(ALPHA / num_pairs)
    if at_most < least:
        pairs = "1 pair of arms" if num_pairs == 1 else f"{num_pairs} pairs of arms"
        detail = f"must be at least {least}: with {pairs}, fewer seeds cannot decide anything"
        yield FieldError.at(("seeds", "at_most"), at_most, detail)

"""The configurations of a search: every arm with each set of values that is tried for it."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from service.errors import FieldError, SpecInvalid
from service.search.places import ARMS, MODEL, Document, UnknownPlaceError, with_values
from service.search.proposals import NUM_AT_RANDOM, grid_size, num_possible, proposals
from service.search.wording import integers_instead
from service.spec.budgets import SEEDS, ArmSize, Budgets, budget_faults
from service.spec.checks import MAX_CHAINS
from service.spec.experiment import Experiment, StageConfig, parse
from service.spec.resolving import resolve_arm
from service.spec.search import Dimension, Search

# Maximum number of configurations of all arms. Each is checked like a spec, when the spec is posted and again in the
# driver.
MAX_CONFIGURED = 5_000
# The cost of a configuration, and that of a place. The unit is the cost of reading one value of the spec. A
# configuration is checked like a spec, and the block that contains a place is merged over all levels. Measured: 0.4 ms
# for a configuration, 0.1 ms for a place, 0.07 ms for a stage.
VALUES_OF_A_CONFIGURATION, VALUES_OF_A_PLACE = 60, 10
_SPACE = ("search", "space")
# Keys that no configuration depends on.
_IN_WORDS = {"labels", "description", "webhook", "priority"}


@dataclass(frozen=True)
class ConfiguredArm:
    """An arm in one configuration.

    Attributes:
        values: The values of the search, by place; empty without a search, or if no place concerns the arm. None: the
            search will propose them later.
        stages: The configurations of its stages, in order, with the experiment's first seed. If the values are not
            known yet, the stages are as in the spec.
    """

    values: Mapping[str, Any] | None
    stages: tuple[StageConfig, ...]

    @property
    def signature(self) -> bytes:
        """A hash that is equal for two configurations if, and only if, both train in the same way."""
        return hashlib.sha256("\n".join(stage.model_dump_json() for stage in self.stages).encode()).digest()


def configured_arms(spec: Experiment, budgets: Budgets | None = None) -> tuple[tuple[ConfiguredArm, ...], ...]:
    """Return every arm in each of its configurations, in the order in which they are proposed.

    Args:
        spec: A spec without other faults.
        budgets: The largest cost of a plan. It is checked before anything is computed. None: no budgets, for stored
            specs.

    Raises:
        SpecInvalid: A budget would be exceeded, or the search cannot be run; the error holds every fault that was
            found.
    """
    if spec.search is not None:
        return SearchedSpec(spec).arms(budgets)
    if budgets is not None:
        _raise(oversized(spec, budgets))
    return tuple((ConfiguredArm({}, _stages(spec, index)),) for index in range(len(spec.arms)))


def oversized(spec: Experiment, budgets: Budgets) -> list[FieldError]:
    """Return the budgets that a spec exceeds even with one configuration of each arm."""
    sizes = [ArmSize(len(arm.stages)) for arm in spec.arms]
    return [*budget_faults(sizes, len(spec.all_seeds), budgets, SEEDS)]


def searched_spec(spec: Experiment) -> "SearchedSpec":
    """Return a spec together with its search; the last one is cached, for a driver's many proposals."""
    return _searched_spec(spec.model_dump_json(exclude_unset=True, exclude=_IN_WORDS))


@lru_cache(maxsize=1)  # it holds the spec and none of its configurations, so it stays as small as the spec
def _searched_spec(text: str) -> "SearchedSpec":
    return SearchedSpec(Experiment.model_validate_json(text))


class SearchedSpec:
    """A spec with a search.

    Args:
        spec: A spec with a search, and without other faults.
    """

    def __init__(self, spec: Experiment) -> None:
        assert spec.search is not None
        self._spec, self._search = spec, spec.search
        self._names = [arm.name for arm in spec.arms]
        # Leave out keys that make no difference to an arm: they would be checked again for each configuration.
        without = {"search", "early_stopping", "arms", "baseline", "compare", "margin", "seeds", *_IN_WORDS}
        document = spec.model_dump(mode="json", exclude_unset=True, exclude=without)
        # Write all defaults of the model: a place may be within a block that the spec leaves out.
        self._common: Document = {**document, MODEL: spec.model.model_dump(mode="json"), "seeds": [spec.all_seeds[0]]}
        self._arms = [arm.model_dump(mode="json", exclude_unset=True) for arm in spec.arms]

    def arms(self, budgets: Budgets | None = None) -> tuple[tuple[ConfiguredArm, ...], ...]:
        """Return every arm in each of its configurations.

        Raises:
            SpecInvalid: A budget would be exceeded, or the search cannot be run.
        """
        if budgets is not None:  # before the ends of ranges are tried, which takes time too
            _raise([*self._budget_faults(budgets, [1] * len(self._arms), [0] * len(self._arms))])
        own_places = self._own_places
        counts = [_count(self._search, self.space(index)) for index in range(len(own_places))]
        _raise([*self._count_faults(counts)])
        if budgets is not None:
            _raise([*self._budget_faults(budgets, counts, [*map(len, own_places)])])
        # Arms with the same places have the same values, which take a while to draw if there are many.
        drawn: dict[tuple[str, ...], Sequence[Mapping[str, Any]]] = {}
        for places in map(tuple, own_places):
            if places not in drawn:
                drawn[places] = self._proposed(places)
        return tuple(self._arm(index, places, drawn[tuple(places)]) for index, places in enumerate(own_places))

    def space(self, arm: int) -> dict[str, Dimension]:
        """Return the part of the search's space that makes a difference to an arm."""
        return {place: self._search.space[place] for place in self._own_places[arm]}

    def configured(self, arm: int, values: Mapping[str, Any]) -> ConfiguredArm:
        """Return an arm with the values of a configuration.

        Raises:
            SpecInvalid: The spec refuses these values.
        """
        try:
            return ConfiguredArm(values, self._resolved(arm, values))
        except (SpecInvalid, UnknownPlaceError) as error:
            raise SpecInvalid([FieldError.at(_SPACE, values, self._refusal(arm, error))]) from None

    @cached_property
    def _own_places(self) -> list[list[str]]:
        """For each arm, the places that make a difference to it."""
        _raise([*self._size_faults()])
        places = [self._place(place) for place in self._search.space]
        _raise([fault for fault, _ in places if fault is not None])
        concerned = dict(zip(self._search.space, (arms for _, arms in places), strict=True))
        return [[place for place, arms in concerned.items() if index in arms] for index in range(len(self._arms))]

    def _size_faults(self) -> Iterator[FieldError]:
        num_checks = len(self._arms) * sum(len(dimension.ends) for dimension in self._search.space.values())
        if num_checks > MAX_CONFIGURED:
            detail = f"times {len(self._arms):,} arms must be at most {MAX_CONFIGURED:,}: each arm checks each of them"
            yield FieldError.at(_SPACE, f"{num_checks // len(self._arms):,} choices and ends of ranges", detail)

    def _place(self, place: str) -> tuple[FieldError | None, set[int]]:
        """Return the fault of a place, if it has one, and the arms that it makes a difference to."""
        path, values = (*_SPACE, place), self._search.space[place].ends
        if place.split(".")[0] == MODEL and (self._spec.start or any(arm.start for arm in self._spec.arms)):
            return FieldError.at(
                path, place, "must not be in the network: chains start from another experiment's checkpoints"
            ), set()
        if place.split(".")[-1] == "precision" and "auto" in values:
            return FieldError.at(path, "auto", "must not be a choice: it is resolved once for an experiment"), set()
        concerned = set()
        for index, name in enumerate(self._names):
            if f"{ARMS}{name}.{place}" in self._search.space:
                continue  # the space also has this place for this arm alone
            resolved = []
            for value in values:
                try:
                    resolved.append(self._resolved(index, {place: value}))
                except UnknownPlaceError:
                    break  # this arm has no such place
                except SpecInvalid as error:
                    detail = self._integers_only(index, place) or self._refusal(index, error)
                    return FieldError.at(path, value, detail), set()
            if any(each != resolved[0] for each in resolved):
                concerned.add(index)
        if concerned:
            return None, concerned
        if (unknown := self._unknown(place)) is not None:
            return FieldError.at(path, place, str(unknown)), set()
        return FieldError.at(
            path, place, "must make a difference: every arm sets this itself, or does not use it"
        ), set()

    def _integers_only(self, index: int, place: str) -> str | None:
        """Return what to write instead if a range of real numbers is at a place that takes integers; else None."""
        dimension = self._search.space[place]
        ends = dimension.log_range or dimension.range
        if ends is None:
            return None
        low, high = math.ceil(ends[0]), math.floor(ends[1])
        if low >= high:
            return None
        # An integer is accepted there, and the same number with a point is not.
        if not any(
            self._accepts(index, place, end) and not self._accepts(index, place, float(end)) for end in (low, high)
        ):
            return None
        return integers_instead("range" if dimension.log_range is None else "log_range", low, high)

    def _accepts(self, index: int, place: str, value: float) -> bool:
        try:
            self._resolved(index, {place: value})
        except (SpecInvalid, UnknownPlaceError):
            return False
        return True

    def _unknown(self, place: str) -> UnknownPlaceError | None:
        """Return the error of a place that is nowhere in the spec, or None."""
        try:
            with_values({**self._common, "arms": self._arms}, {place: None}, self._names)
        except UnknownPlaceError as error:
            return error
        return None

    def _budget_faults(
        self, budgets: Budgets, counts: Sequence[int], num_places: Sequence[int]
    ) -> Iterator[FieldError]:
        """Yield the budgets that are exceeded if each arm has this number of configurations and places."""
        num_ends = sum(len(dimension.ends) for dimension in self._search.space.values())
        of_all = _num_values(self._common)
        sizes = []
        for arm, count, places in zip(self._arms, counts, num_places, strict=True):
            known = min(count, NUM_AT_RANDOM) if self._search.learns else count
            values = of_all + _num_values(arm) + VALUES_OF_A_CONFIGURATION + VALUES_OF_A_PLACE * places
            sizes.append(ArmSize(len(arm["stages"]), count, known + num_ends, values))
        place = _SPACE if self._search.num_configurations is None else ("search", "num_configurations")
        return budget_faults(sizes, len(self._spec.all_seeds), budgets, place)

    def _count_faults(self, counts: Sequence[int]) -> Iterator[FieldError]:
        wanted = self._search.num_configurations or 0
        if max(counts) < wanted:
            detail = f"must be at most {max(counts):,}, the number of different configurations"
            yield FieldError.at(("search", "num_configurations"), wanted, detail)
        value, num_chains = f"{sum(counts)} configurations of all arms", sum(counts) * len(self._spec.all_seeds)
        if sum(counts) > MAX_CONFIGURED:
            yield FieldError.at(_SPACE, value, f"must be at most {MAX_CONFIGURED:,}")
        elif num_chains > MAX_CHAINS:
            detail = f"must give at most {MAX_CHAINS:,} chains, with {len(self._spec.all_seeds):,} seeds each"
            yield FieldError.at(_SPACE, value, detail)

    def _proposed(self, places: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        # The first values of a search that learns are random, so they are known. They show whether places overlap.
        return proposals(self._search, places, at_most=NUM_AT_RANDOM if self._search.learns and places else None)

    def _arm(self, index: int, places: Sequence[str], known: Sequence[Mapping[str, Any]]) -> tuple[ConfiguredArm, ...]:
        first_with: dict[bytes, Mapping[str, Any]] = {}
        tried = []
        for values in known:
            configured = self.configured(index, values)
            equal = first_with.setdefault(configured.signature, values)
            if equal is not values:
                detail = f"must not train {self._names[index]!r} in the same way as {dict(equal)}: places overlap"
                raise SpecInvalid([FieldError.at(_SPACE, values, detail)])
            tried.append(configured)
        if self._search.learns and places:
            return (ConfiguredArm(None, self._resolved(index, {})),) * _count(self._search, self.space(index))
        return tuple(tried)

    def _resolved(self, index: int, values: Mapping[str, Any]) -> tuple[StageConfig, ...]:
        document = {**self._common, "arms": [self._arms[index]]}
        return _stages(parse(with_values(document, values, self._names)), 0)

    def _refusal(self, index: int, error: SpecInvalid | UnknownPlaceError) -> str:
        if isinstance(error, UnknownPlaceError):  # a value at one place may remove another place
            return f"is refused in {self._names[index]!r}: {error}"
        first, *others = error.errors
        more = f" (and {len(others)} more faults)" if others else ""
        field = first.field.replace("arms[0]", f"arms[{index}]")
        return f"is refused in {self._names[index]!r}: {field}: {first.detail}{more}"


def infeasible(spec: Experiment) -> list[FieldError]:
    """Return the faults for which a spec cannot be planned, whatever its size. The spec has no other faults."""
    try:
        configured_arms(spec)
    except SpecInvalid as error:
        return list(error.errors)
    return []


def _raise(faults: list[FieldError]) -> None:
    if faults:
        raise SpecInvalid(faults)


def _count(search: Search, space: Mapping[str, Any]) -> int:
    if not space:
        return 1
    if search.method == "grid":
        return grid_size(space)
    return min(search.num_configurations or 0, num_possible(space))


def _num_values(value: Any) -> int:
    """Return the number of values in plain data."""
    if isinstance(value, dict):
        return sum(map(_num_values, value.values()))
    return sum(map(_num_values, value)) if isinstance(value, list | tuple) else 1


def _stages(spec: Experiment, arm_index: int) -> tuple[StageConfig, ...]:
    return resolve_arm(spec, arm_index, spec.all_seeds[0])

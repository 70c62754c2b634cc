"""The configurations of a search: every arm with each set of values that is tried for it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from service.errors import FieldError, SpecInvalid
from service.search.places import ARMS, MODEL, Document, UnknownPlaceError, with_values
from service.search.proposals import NUM_AT_RANDOM, grid_size, num_possible, proposals
from service.search.wording import integers_instead
from service.spec.checks import MAX_CHAINS
from service.spec.experiment import Experiment, StageConfig, parse, resolve_stage
from service.spec.search import Dimension, Search

# Maximum number of configurations of all arms. Each is checked like a spec, when the spec is posted and again in the
# driver: this many take some seconds.
MAX_CONFIGURED = 5_000
_SPACE = ("search", "space")


@dataclass(frozen=True)
class ConfiguredArm:
    """An arm in one configuration.

    Attributes:
        values: The values of the search, by place; empty without a search, or if no place concerns the arm. None: the
            search will propose them later.
        stages: The configurations of its stages, in order, with the experiment's first seed. If the values are not
            known yet, they are as in the spec.
    """

    values: Mapping[str, Any] | None
    stages: tuple[StageConfig, ...]

    @property
    def signature(self) -> tuple[str, ...]:
        """Texts that are equal for two configurations exactly if both train in the same way."""
        return tuple(stage.model_dump_json() for stage in self.stages)


def configured_arms(spec: Experiment) -> tuple[tuple[ConfiguredArm, ...], ...]:
    """Return every arm in each of its configurations, in the order in which they are proposed.

    Raises:
        SpecInvalid: The search cannot be run; the error holds every fault that was found.
    """
    if spec.search is None:
        return tuple((ConfiguredArm({}, _stages(spec, index)),) for index in range(len(spec.arms)))
    return searched_spec(spec).arms


def searched_spec(spec: Experiment) -> "SearchedSpec":
    """Return a spec together with its search; the last few are cached."""
    return _searched_spec(
        spec.model_dump_json(exclude_unset=True, exclude={"labels", "description", "webhook", "priority"})
    )


@lru_cache(maxsize=4)  # a spec is checked, and then planned
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
        without = {"search", "early_stopping", "arms", "baseline", "seeds"}
        document = spec.model_dump(mode="json", exclude_unset=True, exclude=without)
        # Write all defaults of the model: a place may be within a block that the spec leaves out.
        self._common: Document = {**document, MODEL: spec.model.model_dump(mode="json"), "seeds": [spec.seeds[0]]}
        self._arms = [arm.model_dump(mode="json", exclude_unset=True) for arm in spec.arms]

    @cached_property
    def arms(self) -> tuple[tuple[ConfiguredArm, ...], ...]:
        """Every arm in each of its configurations.

        Raises:
            SpecInvalid: The search cannot be run.
        """
        own_places = self._own_places
        _raise([*self._count_faults(own_places)])
        return tuple(self._arm(index, places) for index, places in enumerate(own_places))

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
                continue  # the space names the place for this arm alone, too
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

    def _count_faults(self, own_places: list[list[str]]) -> Iterator[FieldError]:
        counts = [_count(self._search, self.space(index)) for index in range(len(own_places))]
        wanted = self._search.num_configurations or 0
        if max(counts) < wanted:
            detail = f"must be at most {max(counts):,}, the number of different configurations"
            yield FieldError.at(("search", "num_configurations"), wanted, detail)
        value, num_chains = f"{sum(counts)} configurations of all arms", sum(counts) * len(self._spec.seeds)
        if sum(counts) > MAX_CONFIGURED:
            yield FieldError.at(_SPACE, value, f"must be at most {MAX_CONFIGURED:,}")
        elif num_chains > MAX_CHAINS:
            detail = f"must give at most {MAX_CHAINS:,} chains, with {len(self._spec.seeds):,} seeds each"
            yield FieldError.at(_SPACE, value, detail)

    def _arm(self, index: int, places: list[str]) -> tuple[ConfiguredArm, ...]:
        # The first values of a search that learns are random, so they are known. They show whether places overlap.
        known = proposals(self._search, places, at_most=NUM_AT_RANDOM if self._search.learns and places else None)
        first_with: dict[tuple[str, ...], Mapping[str, Any]] = {}
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
    """Return the faults that keep a search from running, in a spec without other faults."""
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


def _stages(spec: Experiment, arm_index: int) -> tuple[StageConfig, ...]:
    return tuple(
        resolve_stage(spec, arm_index, index, spec.seeds[0]) for index in range(len(spec.arms[arm_index].stages))
    )

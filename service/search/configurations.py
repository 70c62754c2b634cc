"""What a search makes of an experiment: each arm's configurations, and an arm as one of them has it."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import FieldError, SpecInvalid
from service.search.places import Document, UnknownPlaceError, with_values
from service.search.proposals import Configuration, ends, grid_size, num_possible, proposals
from service.spec import Experiment, parse, resolve_stage
from service.spec_checks import MAX_CHAINS
from service.spec_search import Search

_SPACE = ("search", "space")


def configurations(spec: Experiment, arm_index: int) -> tuple[Configuration, ...]:
    """What is tried of an arm, in order; one empty configuration where there is no search, or none that concerns it.

    Args:
        spec: A spec that `infeasible` finds nothing in.
        arm_index: Which arm.
    """
    return ({},) if spec.search is None else proposals(spec.search, _places(spec, spec.search, arm_index))


def configured(spec: Experiment, arm_index: int, values: Mapping[str, Any]) -> Experiment:
    """The spec as one configuration of an arm has it, with that arm alone.

    Raises:
        UnknownPlaceError: There is no such place in the arm, nor around it.
        SpecInvalid: The spec refuses a value there.
    """
    return parse(with_values(_alone(spec, arm_index), values))


def infeasible(spec: Experiment) -> list[FieldError]:
    """What keeps a search from being run, of a spec that is without faults otherwise."""
    search = spec.search
    if search is None:
        return []
    faults = [fault for place in search.space if (fault := _place_fault(spec, search, place)) is not None]
    return faults or list(_count_faults(spec, search))


def _place_fault(spec: Experiment, search: Search, place: str) -> FieldError | None:
    path, values = (*_SPACE, place), ends(search.space[place])
    try:
        with_values(_document(spec), {place: values[0]})
    except UnknownPlaceError as error:
        return FieldError.at(path, place, str(error))
    for arm_index in range(len(spec.arms)):
        for value in values:
            try:
                configured(spec, arm_index, {place: value})
            except UnknownPlaceError:
                continue
            except SpecInvalid as error:
                first, *others = error.errors
                more = f" (and {len(others)} more faults)" if others else ""
                detail = f"the spec refuses this value in {spec.arms[arm_index].name!r}: {first.field}: {first.detail}"
                return FieldError.at(path, value, detail + more)
    if not any(_concerns(spec, search, arm_index, place) for arm_index in range(len(spec.arms))):
        return FieldError.at(path, place, "makes no difference: every arm sets this itself, or has no use for it")
    return None


def _count_faults(spec: Experiment, search: Search) -> Iterator[FieldError]:
    spaces = [
        {place: search.space[place] for place in _places(spec, search, arm_index)}
        for arm_index in range(len(spec.arms))
    ]
    if search.method == "grid":
        counts = [grid_size(space) for space in spaces]
    else:
        wanted = search.num_configurations or 0
        counts = [min(wanted, num_possible(space)) for space in spaces]
        if max(counts) < wanted:
            detail = f"there are only {max(counts):,} different configurations"
            yield FieldError.at(("search", "num_configurations"), wanted, detail)
    if sum(counts) * len(spec.seeds) > MAX_CHAINS:
        detail = f"with {len(spec.seeds):,} seeds each must give at most {MAX_CHAINS:,} chains"
        yield FieldError.at(_SPACE, f"{sum(counts)} configurations of all arms", detail)


def _places(spec: Experiment, search: Search, arm_index: int) -> list[str]:
    """Those that make a difference to an arm."""
    return [place for place in search.space if _concerns(spec, search, arm_index, place)]


def _concerns(spec: Experiment, search: Search, arm_index: int, place: str) -> bool:
    first, *_, last = ends(search.space[place])
    try:
        return _resolved(spec, arm_index, {place: first}) != _resolved(spec, arm_index, {place: last})
    except UnknownPlaceError:
        return False


def _resolved(spec: Experiment, arm_index: int, values: Mapping[str, Any]) -> list[Any]:
    own = configured(spec, arm_index, values)
    return [resolve_stage(own, 0, index, own.seeds[0]) for index in range(len(own.arms[0].stages))]


def _alone(spec: Experiment, arm_index: int) -> Document:
    arm = spec.arms[arm_index].model_dump(mode="json", exclude_unset=True)
    return _document(spec, "arms", "baseline") | {"arms": [arm]}


def _document(spec: Experiment, *without: str) -> Document:
    """The spec as plain data, without its search."""
    return spec.model_dump(mode="json", exclude_unset=True, exclude={"search", *without})

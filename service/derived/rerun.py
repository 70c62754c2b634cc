"""From a search to an experiment that measures its choice: each arm in its best configuration, over other seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import FieldError, SpecInvalid
from service.search.places import MODEL, SETTINGS, Document, with_values
from service.spec.experiment import MAX_NAME_LENGTH, Experiment, StageConfig, parse, resolve_stage, resolve_training
from tet_core.config import Training

# Keys of a spec that only a search needs; a chain that is measured is trained to its end.
OF_CHOOSING = ("search", "early_stopping")
BEST = " (best)"
# Number of seeds that an error names; it counts the others.
MAX_NAMED = 5

Values = Mapping[str, Any]


def own_name(name: str) -> str:
    """Return the default name of the new experiment, which follows from the search's name."""
    return name[: MAX_NAME_LENGTH - len(BEST)] + BEST


def rerun(search: Document, chosen: Mapping[str, Values], seeds: Sequence[int], name: str) -> Experiment:
    """Return a search's spec with the chosen values written into it.

    A value that all arms share stays at its place; else it is written into each arm. Every stage resolves to the same
    configuration as in the search, except for the seed.

    Args:
        search: The spec of the search as plain data, without faults.
        chosen: By the name of an arm, its values by place; other arms are left out.
        seeds: The new seeds.
        name: The name of the new experiment.

    Raises:
        SpecInvalid: A seed is one of the search's, the arms have chosen different networks, or the new spec has faults.
    """
    _check_seeds(search["seeds"], seeds)
    common = {key: value for key, value in search.items() if key not in (*OF_CHOOSING, "arms", "baseline")}
    alone = _alone(search, common, chosen, seeds[0])
    _check_networks(alone, chosen)
    document = {**common, "name": name, "seeds": list(seeds), "arms": [each["arms"][0] for each in alone]}
    if any(place.split(".")[0] == MODEL for values in chosen.values() for place in values):
        document[MODEL] = alone[0][MODEL]
    if search.get("baseline") in chosen:
        document["baseline"] = search["baseline"]
    for key in SETTINGS:
        _write(document, key, alone)
    made = parse(document)
    for number, each in enumerate(alone):
        assert _stages(made, number) == _stages(parse(each), 0), f"{made.arms[number].name!r} would run otherwise"
    return made


def _alone(search: Document, common: Document, chosen: Mapping[str, Values], seed: int) -> list[Document]:
    """Return a spec for each arm alone, in which even a place that all arms share belongs to the arm."""
    names = [arm["name"] for arm in search["arms"]]
    # With all defaults, as in the search: a place may be within a block that the spec leaves out.
    model = parse({**common, "arms": search["arms"]}).model.model_dump(mode="json")
    whole = {**common, MODEL: model, "seeds": [seed]}
    arms = [arm for arm in search["arms"] if arm["name"] in chosen]
    return [with_values({**whole, "arms": [arm]}, chosen[arm["name"]], names) for arm in arms]


def _write(document: Document, key: str, alone: Sequence[Document]) -> None:
    """Write a setting from the top level of each arm's own spec into the spec of all arms."""
    found = [each.get(key) for each in alone]
    if all(value == found[0] for value in found):
        if found[0] is not None:
            document[key] = found[0]
        return
    before = document.get(key)
    for arm, each, value in zip(document["arms"], alone, found, strict=True):
        if value != before:
            arm[key] = _in_full(each, key)


def _in_full(alone: Document, key: str) -> Any:
    """Return a setting as it holds in the only arm of a spec, with all of its defaults.

    Without the defaults, keys that an arm's block leaves out would come from the block of the same name above it. That
    block is not the one of the search if another arm has chosen another name.
    """
    levels = ({name: level[name] for name in SETTINGS if name in level} for level in (alone, alone["arms"][0]))
    settings = Training.model_validate(resolve_training(parse(alone).dataset, *levels))
    return settings.model_dump(mode="json")[key]


def _stages(spec: Experiment, arm: int) -> list[StageConfig]:
    return [resolve_stage(spec, arm, index, spec.seeds[0]) for index in range(len(spec.arms[arm].stages))]


def _check_seeds(theirs: Sequence[int], seeds: Sequence[int]) -> None:
    known = set(theirs)
    again = [seed for seed in dict.fromkeys(seeds) if seed in known]
    if again:
        more = f" and {len(again) - MAX_NAMED} more" if again[MAX_NAMED:] else ""
        named = ", ".join(map(str, again[:MAX_NAMED])) + more
        detail = "must be none of the search's own seeds: a choice looks too good on the seeds that made it"
        raise SpecInvalid([FieldError.at(("seeds",), named, detail)])


def _check_networks(alone: Sequence[Document], chosen: Mapping[str, Values]) -> None:
    """Refuse arms that have chosen different networks, since all arms of an experiment share one."""
    first, *others = alone
    other = next((each for each in others if each[MODEL] != first[MODEL]), None)
    if other is None:
        return
    one, another = first["arms"][0]["name"], other["arms"][0]["name"]
    differences = ", ".join(
        f"{place} is {value!r} in {one!r} and {chosen[another][place]!r} in {another!r}"
        for place, value in chosen[one].items()
        if place.split(".")[0] == MODEL and value != chosen[another][place]
    )
    detail = f"must be arms that have chosen the same network, since all arms of an experiment share it: {differences}"
    raise SpecInvalid([FieldError.at(("arms",), [*chosen], detail)])

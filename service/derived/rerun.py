"""From a search to an experiment of what it has chosen: each arm in its best configuration, over other seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import FieldError, SpecInvalid
from service.search.places import MODEL, SETTINGS, Document, with_values
from service.spec.experiment import MAX_NAME_LENGTH, Experiment, StageConfig, parse, resolve_stage, resolve_training
from tet_core.config import Training

# What a spec has for choosing alone: a chain that is to be measured is trained to its end.
OF_CHOOSING = ("search", "early_stopping")
BEST = " (best)"
# Seeds that are named in an error; the others are counted.
MAX_NAMED = 5

Values = Mapping[str, Any]


def own_name(name: str) -> str:
    """What the experiment is called if nobody says so: by the search."""
    return name[: MAX_NAME_LENGTH - len(BEST)] + BEST


def rerun(search: Document, chosen: Mapping[str, Values], seeds: Sequence[int], name: str) -> Experiment:
    """Writes what was chosen into a search's spec.

    What all arms have chosen alike stays where it stood; else it is written into each of them. Every stage resolves to
    what the search ran it with, but for the seed.

    Args:
        search: Its spec as plain data, without faults.
        chosen: By the name of an arm, its values by place; arms that are not here are left out.
        seeds: Over which to run.
        name: Of the new experiment.

    Raises:
        SpecInvalid: A seed is one of the search's, arms have chosen different networks, or the spec that comes of it
            has faults.
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
    """Each arm in a spec of its own, in which a place that all arms share is the arm's own."""
    names = [arm["name"] for arm in search["arms"]]
    # In full, as in the search: a place may be within a block that is left out.
    model = parse({**common, "arms": search["arms"]}).model.model_dump(mode="json")
    whole = {**common, MODEL: model, "seeds": [seed]}
    arms = [arm for arm in search["arms"] if arm["name"] in chosen]
    return [with_values({**whole, "arms": [arm]}, chosen[arm["name"]], names) for arm in arms]


def _write(document: Document, key: str, alone: Sequence[Document]) -> None:
    """Writes one setting, which stands at the top of each arm's own spec, into the spec of all of them."""
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
    """A setting as it holds in the only arm of a spec.

    With all of its defaults: what is left out of an arm's block would be taken from the block of the same name above
    it, which another arm may have left for another name.
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
        detail = "must be none of the search's own seeds: on those by which it was chosen, a choice looks too good"
        raise SpecInvalid([FieldError.at(("seeds",), named, detail)])


def _check_networks(alone: Sequence[Document], chosen: Mapping[str, Values]) -> None:
    """Arms share one network, so they cannot run side by side with what each has chosen of it."""
    first, *others = alone
    other = next((each for each in others if each[MODEL] != first[MODEL]), None)
    if other is None:
        return
    one, another = first["arms"][0]["name"], other["arms"][0]["name"]
    told = ", ".join(
        f"{place} is {value!r} in {one!r} and {chosen[another][place]!r} in {another!r}"
        for place, value in chosen[one].items()
        if place.split(".")[0] == MODEL and value != chosen[another][place]
    )
    detail = f"must be arms that have chosen one network, since all of an experiment share it: {told}"
    raise SpecInvalid([FieldError.at(("arms",), [*chosen], detail)])

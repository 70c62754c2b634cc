"""The spec that measures the choice of a search: each arm in its chosen configuration, over new seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import FieldError, SpecInvalid
from service.search.places import MODEL, SETTINGS, Document, with_values
from service.spec.experiment import MAX_NAME_LENGTH, Experiment, StageConfig, parse
from service.spec.resolving import resolve_arm, resolve_training
from tet_core.config import Training

# Keys of a search's spec that its rerun leaves out: a rerun searches nothing, and trains all epochs of every chain.
OF_CHOOSING = ("search", "early_stopping")
BEST = " (best)"
# Maximum number of seeds that an error lists. The error counts the others.
MAX_NAMED = 5

Values = Mapping[str, Any]


def own_name(name: str) -> str:
    """Return the default name of the new experiment: the search's name and " (best)", shortened if it is too long."""
    return name[: MAX_NAME_LENGTH - len(BEST)] + BEST


def rerun(search: Document, chosen: Mapping[str, Values], seeds: Sequence[int], name: str) -> Experiment:
    """Return a search's spec with the chosen values written into it.

    A setting that is equal in all arms is written at the top level. Any other setting is written into each arm in which
    it differs from the search's top level. Every stage resolves to the same configuration as in the search, except for
    the seed.

    Args:
        search: The spec of the search as plain data, without faults.
        chosen: The chosen values of each arm, by the arm's name and then by place. An arm that is missing here is left
            out of the new spec.
        seeds: The new seeds.
        name: The name of the new experiment.

    Raises:
        SpecInvalid: The search used one of the seeds, the arms have chosen different networks, or the new spec has
            faults.
    """
    _check_seeds(search["seeds"], seeds)
    common = {key: value for key, value in search.items() if key not in (*OF_CHOOSING, "arms", "baseline", "compare")}
    alone = _alone(search, common, chosen, seeds[0])
    _check_networks(alone, chosen)
    document = {**common, "name": name, "seeds": list(seeds), "arms": [each["arms"][0] for each in alone]}
    if any(place.split(".")[0] == MODEL for values in chosen.values() for place in values):
        document[MODEL] = alone[0][MODEL]
    if search.get("baseline") in chosen:
        document["baseline"] = search["baseline"]
    if pairs := [pair for pair in search.get("compare") or () if {pair["arm"], pair["to"]} <= chosen.keys()]:
        document["compare"] = pairs
    for key in SETTINGS:
        _write(document, key, alone)
    new_spec = parse(document)
    for number, each in enumerate(alone):
        name = new_spec.arms[number].name
        assert _stages(new_spec, number) == _stages(parse(each), 0), f"{name!r} would not run as in the search"
    return new_spec


def _alone(search: Document, common: Document, chosen: Mapping[str, Values], seed: int) -> list[Document]:
    """Return one spec for each arm, with this arm alone, so that a value for all arms may differ between arms."""
    names = [arm["name"] for arm in search["arms"]]
    # Write all defaults of the model, as the search does: a place may be within a block that the spec leaves out.
    model = parse({**common, "arms": search["arms"]}).model.model_dump(mode="json")
    whole = {**common, MODEL: model, "seeds": [seed]}
    arms = [arm for arm in search["arms"] if arm["name"] in chosen]
    return [with_values({**whole, "arms": [arm]}, chosen[arm["name"]], names) for arm in arms]


def _write(document: Document, key: str, alone: Sequence[Document]) -> None:
    """Write a setting from the top level of each arm's own spec into the spec of all arms."""
    values = [each.get(key) for each in alone]
    if all(value == values[0] for value in values):
        if values[0] is not None:
            document[key] = values[0]
        return
    before = document.get(key)
    for arm, each, value in zip(document["arms"], alone, values, strict=True):
        if value != before:
            arm[key] = _in_full(each, key)


def _in_full(alone: Document, key: str) -> Any:
    """Return the value of a setting that applies in the only arm of a spec, with all of its defaults.

    Without the defaults, keys that an arm's block leaves out would come from the block of the same name at the top
    level. That block differs from the search's block if another arm has chosen another name.
    """
    levels = ({name: level[name] for name in SETTINGS if name in level} for level in (alone, alone["arms"][0]))
    settings = Training.model_validate(resolve_training(parse(alone).dataset, *levels))
    return settings.model_dump(mode="json")[key]


def _stages(spec: Experiment, arm: int) -> tuple[StageConfig, ...]:
    return resolve_arm(spec, arm, spec.all_seeds[0])


def _check_seeds(search_seeds: Sequence[int], seeds: Sequence[int]) -> None:
    known = set(search_seeds)
    repeated = [seed for seed in dict.fromkeys(seeds) if seed in known]
    if repeated:
        more = f" and {len(repeated) - MAX_NAMED} more" if repeated[MAX_NAMED:] else ""
        named = ", ".join(map(str, repeated[:MAX_NAMED])) + more
        detail = (
            "must be none of the search's own seeds: the configurations were chosen on them and look too good there"
        )
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
